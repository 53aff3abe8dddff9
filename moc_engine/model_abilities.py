"""What a model can do, read before it is loaded. No torch."""

from __future__ import annotations

from moc_engine.abilities import Ability
from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED, read_model_index
from moc_engine.models.registry import family_entry


def model_abilities(model: str | None) -> frozenset[Ability] | None:
    """What a folder's model can do, of the embedded model where None; None where nothing is known of it."""
    try:
        index = read_model_index(EMBEDDED if model is None else model)
        return None if index is None else family_entry(str(index["_class_name"])).abilities(index)
    except EngineError:
        return None
