"""Finds a model by what a person calls it: a folder, a file, or a name on the hub. No torch.

folder with model_index.json ─► its parts
.safetensors, .gguf ──────────► the family that knows it ─► the file and the parts beside it
.json of `models add` ────────► its files ─► the family that knows them
name on the hub ──────────────► folder in the hub's cache ─► its parts
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.model_index import EMBEDDED, parse_model_index, read_model_index
from moc_engine.models.registry import families_of_single_files
from moc_engine.sources.hub_id import parse_hub_id
from moc_engine.sources.model_files import ENTRY_SUFFIX, FilePart, ModelFiles, read_entry
from moc_engine.sources.parts import PipelineParts, parts_of_folder


def find_model(
    source: str | Path, from_hub: Callable[[str], Path] | None = None, *, name: str | None = None
) -> PipelineParts:
    """The parts of a model; `name` is what traces call it.

    `from_hub` gives the folder of a model of the hub, which is downloaded where it is None.

    Raises `ModelNotFound` where there is no model or a part is missing, `ModelMismatch` for something that is
    no model, `HubUnreachable` where the hub would have to be asked and cannot be.
    """
    path = Path(source)
    if path.is_file():
        files = read_entry(path) if path.suffix == ENTRY_SUFFIX else ModelFiles(transformer=path)
        return assemble(files, source=str(source), name=name or path.stem)
    index = read_model_index(source)
    if index is not None:
        own = "animatic" if str(source) == str(EMBEDDED) else path.resolve().name
        return parts_of_folder(path, index, source=str(source), name=name or own)
    folder = (from_hub or _downloaded)(str(source))
    index = parse_model_index(source, folder / "model_index.json")
    return parts_of_folder(folder, index, source=str(source), name=name or str(source))


def find_here(source: str | Path, *, name: str | None = None) -> PipelineParts:
    """As `find_model`, without asking the hub: what is not whole in its cache is a `ModelNotFound`."""
    return find_model(source, _cached, name=name)


def _cached(model: str) -> Path:
    from moc_engine.sources.hub import cached_folder  # the hub's client takes a while to import

    named = parse_hub_id(model)
    folder = None if named is None else cached_folder(named)
    if folder is None:
        raise ModelNotFound(f"the model {model} is not on this machine; moc-studio models add downloads it")
    return folder


def _downloaded(model: str) -> Path:
    from moc_engine.sources.download import find_on_hub  # the hub's client takes a while to import

    return find_on_hub(model)


def assemble(files: ModelFiles, *, source: str, name: str) -> PipelineParts:
    """The model of single files, put together by the family that knows its transformer. Raises as above."""
    for family in families_of_single_files():
        if files.config is not None or family.identify(files.transformer) is not None:
            return family.assemble(files, source=source, name=name)
    raise ModelMismatch(f"{files.transformer} is no transformer of a model that the engine knows")


def identify_file(path: Path) -> FilePart | None:
    """What a file of weights is; None for one that no family knows. Raises as `SingleFiles.identify`."""
    found = (family.identify(path) for family in families_of_single_files())
    return next((part for part in found if part is not None), None)
