"""What of a shot's captions a model does not read, told before it is loaded. No torch."""

from __future__ import annotations

from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.finding import find_here
from moc_engine.models.registry import family_entry


def captions_left_out(model: str | None, global_caption: str, caption: str) -> LeftOut | None:
    """How many tokens of the captions a model does not read, the embedded one where None.

    None where nothing is left out, and where that cannot be told: the model is not on this machine, or its
    family has no such limit.
    """
    try:
        found = find_here(EMBEDDED if model is None else model)
        check = family_entry(found.pipeline_class).left_out
        missing = None if check is None else check(found, global_caption, caption)
    except (EngineError, OSError):
        return None
    return missing if missing else None
