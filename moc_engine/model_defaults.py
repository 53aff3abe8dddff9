"""The settings that a model brings with it, read before it is loaded. No torch."""

from __future__ import annotations

from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_here
from moc_engine.models.registry import family_entry
from moc_engine.own_settings import OwnSettings


def model_defaults(model: str | None) -> OwnSettings | None:
    """A model's own settings, the embedded one's where None; None where it is not on this machine, damaged,
    or of a family that does not tell.
    """
    try:
        found = find_here(EMBEDDED if model is None else model)
        own_settings = family_entry(found.pipeline_class).own_settings
        return None if own_settings is None else own_settings(found)
    except (EngineError, OSError, TypeError, ValueError):
        return None
