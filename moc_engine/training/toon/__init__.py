"""The toon model: a small Wan model trained on stories of the animatic world drawn to pixels."""
