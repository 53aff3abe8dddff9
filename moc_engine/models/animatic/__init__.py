"""The embedded model: a small world of picture-book stories, its words, codec and weights."""
