"""Finds a model by what a person calls it, and where its parts lie. No torch.

folder with model_index.json ─► its parts
.safetensors, .gguf ──────────► the family that knows it ─► the file and the parts beside it
name of `models add` ─────────► its files or its folder ─► as above
name on the hub ──────────────► folder in the hub's cache ─► its parts
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moc_engine.errors import EngineError, ModelMismatch, ModelNotFound
from moc_engine.lora_files import read_lora_file
from moc_engine.model_index import EMBEDDED, check_path, parse_model_index, read_model_index
from moc_engine.models.lora_titles import titles_for
from moc_engine.models.registry import families_of_single_files, family_entry
from moc_engine.sources.entries import find_entry
from moc_engine.sources.hub_id import parse_hub_id
from moc_engine.sources.model_files import ENTRY_SUFFIX, FilePart, ModelFiles, read_entry
from moc_engine.sources.parts import PipelineParts, parts_of_folder


def find_model(source: str | Path, from_hub: Callable[[str], Path] | None = None) -> PipelineParts:
    """The parts of a model; `from_hub` gives the folder of one of the hub, which is downloaded where None.

    Raises `ModelNotFound` where there is no model or a part is missing, `ModelMismatch` for something that is
    no model, `HubUnreachable` where the hub would have to be asked and cannot be.
    """
    entry = find_entry(source) if isinstance(source, str) else None
    path = entry or Path(source)
    check_path(path)
    if path.is_file():
        model = read_entry(path) if path.suffix == ENTRY_SUFFIX else ModelFiles(transformer=path)
        if isinstance(model, ModelFiles):
            return assemble(model, source=str(source), name=path.stem)
        return _of_folder(model, str(source), path.stem)
    if read_model_index(source) is not None:
        name = "animatic" if str(source) == str(EMBEDDED) else path.resolve().name
        return _of_folder(path, str(source), name)
    return _of_folder((from_hub or _downloaded)(str(source)), str(source), str(source))


def _of_folder(folder: Path, source: str, name: str) -> PipelineParts:
    index = parse_model_index(source, folder / "model_index.json")
    return parts_of_folder(folder, index, source=source, name=name)


def find_here(source: str | Path) -> PipelineParts:
    """As `find_model`, without asking the hub: what is not whole in its cache is a `ModelNotFound`."""
    return find_model(source, _cached)


def _cached(model: str) -> Path:
    from moc_engine.sources.hub_cache import cached_folder  # the hub's client takes a while to import

    named = parse_hub_id(model)
    folder = None if named is None else cached_folder(named)
    if folder is None:
        raise ModelNotFound(
            f"the model {model} is not on this machine, or not whole; moc-studio models add {model} "
            "downloads it"
        )
    return folder


def _downloaded(model: str) -> Path:
    from moc_engine.sources.download import find_on_hub

    return find_on_hub(model)


def assemble(files: ModelFiles, *, source: str, name: str) -> PipelineParts:
    """The model of single files, put together by the family that knows its transformer.

    Raises as `find_model`.
    """
    if files.config is not None:
        pipeline = str(parse_model_index(files.config, files.config / "model_index.json")["_class_name"])
        single_files = family_entry(pipeline).single_files
        if single_files is None:
            raise ModelMismatch(f"{files.config}: models of a {pipeline} are not made of single files")
        return single_files().assemble(files, source=source, name=name)
    for family in families_of_single_files():
        if family.identify(files.transformer) is not None:
            return family.assemble(files, source=source, name=name)
    raise ModelMismatch(_no_transformer(files.transformer))


def _no_transformer(file: Path) -> str:
    """Why no family makes a model of a file, in words."""
    try:
        read_lora_file(file)
    except EngineError:
        return f"{file} is no transformer of a model that the engine knows"
    fits = ", ".join(titles_for(file)) or "none of the published models"
    return f"{file} is a LoRA for {fits} and no model; give it to a film by --lora, or among its LoRAs"


def identify_file(path: Path) -> FilePart | None:
    """What a file of weights is; None for one that no family knows. Raises as `SingleFiles.identify`."""
    found = (family.identify(path) for family in families_of_single_files())
    return next((part for part in found if part is not None), None)
