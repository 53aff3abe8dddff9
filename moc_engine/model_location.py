"""Where a model lies on this machine, which files decide what it renders, its commit on the hub. No torch."""

from __future__ import annotations

from pathlib import Path

from moc_engine.errors import EngineError, ModelNotFound
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_here
from moc_engine.sources.entries import find_entry
from moc_engine.sources.hub_id import parse_hub_id
from moc_engine.sources.parts import PipelineParts


def model_parts(model: str | None) -> PipelineParts:
    """Where the parts of a model lie, the embedded one where None; the hub is not asked.

    Raises `ModelNotFound` and `ModelMismatch`.
    """
    return find_here(EMBEDDED if model is None else model)


def is_missing_hub_model(model: str) -> bool:
    """Whether a model can be a hub model alone, and is not whole on this machine."""
    try:
        model_parts(model)
    except ModelNotFound:
        return parse_hub_id(model) is not None and not Path(model).exists() and find_entry(model) is None
    except EngineError:
        return False
    return False


def part_files(model: PipelineParts) -> tuple[tuple[str, Path], ...]:
    """The files that decide what a model renders, each with a name that is the same on every machine."""
    whole = model.folder
    if whole is not None:
        return tuple((file.relative_to(whole).as_posix(), file) for file in _deciding(whole))
    found: dict[str, Path] = {}
    for name, part in sorted(model.parts.items()):
        if part.path.is_file():
            found[f"{name}{part.path.suffix}"] = part.path
            folder = part.config
        else:
            folder = part.path
        for file in () if folder is None else _deciding(folder):
            found[f"{name}/{file.relative_to(folder or Path()).as_posix()}"] = file
    return tuple(found.items())


def _deciding(folder: Path) -> list[Path]:
    suffixes = {".json", ".safetensors", ".txt", ".model"}
    return [file for file in sorted(folder.rglob("*")) if file.suffix in suffixes and file.is_file()]


def hub_commit(model: PipelineParts) -> str | None:
    """The name of a hub model with the commit at which it is in the cache; None for other models."""
    folder = model.folder
    if (
        folder is None
        or folder.parent.name != "snapshots"
        or not folder.parents[1].name.startswith("models--")
    ):
        return None
    return f"{folder.parents[1].name.removeprefix('models--').replace('--', '/')}@{folder.name}"
