"""What a model can do, read before it is loaded. No torch."""

from __future__ import annotations

from moc_engine.abilities import Ability
from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_here
from moc_engine.models.registry import family_entry


def model_abilities(model: str | None) -> frozenset[Ability] | None:
    """What a model can do, the embedded one where None; None where it is not on this machine or damaged."""
    try:
        found = find_here(EMBEDDED if model is None else model)
        return family_entry(found.pipeline_class).abilities(found.index)
    except (EngineError, OSError):
        return None


def needs_first_frame(model: str | None) -> bool:
    """Whether each shot of a model must start from a picture; False where it is not on this machine."""
    try:
        found = find_here(EMBEDDED if model is None else model)
        return family_entry(found.pipeline_class).needs_first_frame(found.index)
    except (EngineError, OSError):
        return False
