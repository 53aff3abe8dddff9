"""Finds a model by what a person calls it: a folder, or a name on the hub. No torch."""

from __future__ import annotations

from pathlib import Path

from moc_engine.model_index import EMBEDDED, parse_model_index, read_model_index
from moc_engine.models.hub import find_on_hub
from moc_engine.sources.parts import PipelineParts, parts_of_folder


def find_model(source: str | Path) -> PipelineParts:
    """The parts of a model, which is downloaded where it is on the hub alone.

    Raises `ModelNotFound` where there is no model, `ModelMismatch` for something that is no pipeline,
    `HubUnreachable` where the hub would have to be asked and cannot be.
    """
    index = read_model_index(source)
    if index is not None:
        folder = Path(source)
        name = "animatic" if str(source) == str(EMBEDDED) else folder.resolve().name
    else:
        folder, name = find_on_hub(str(source)), str(source)
        index = parse_model_index(source, folder / "model_index.json")
    return parts_of_folder(folder, index, source=str(source), name=name)
