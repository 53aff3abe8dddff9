"""The models on this machine: what each is, where its files lie, what it needs, its licence. No torch.

Read from configurations and the headers of files, never from weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import yaml

from moc_engine.errors import EngineError, ModelMismatch
from moc_engine.model_index import EMBEDDED
from moc_engine.model_location import hub_commit, model_parts, part_files
from moc_engine.model_memory import ModelSize, predicted_need
from moc_engine.models.finding import assemble, find_here, identify_file
from moc_engine.models.registry import families_of_single_files, family_entry
from moc_engine.models.sizes import model_size
from moc_engine.profiles import PROFILES, Profile
from moc_engine.sources.comfyui import files_of, known_folders
from moc_engine.sources.entries import entries
from moc_engine.sources.model_files import ModelFiles
from moc_engine.sources.part_files import check_part_files, weight_files
from moc_engine.sources.parts import PipelineParts
from moc_engine.sources.weights_header import read_header

Origin = Literal["embedded", "hub", "added", "comfyui"]
"""Where a model comes from: with the engine, the hub's cache, a person's own entry, a ComfyUI folder."""

NEED_SHOT: Final = (4.0, 480, 832)
"""Seconds, height and width of the shot for which needs are told."""


@dataclass(frozen=True, kw_only=True)
class ProfileNeed:
    """What a shot of 4 seconds at 832 × 480 needs under a profile: bytes of the device and of main memory."""

    profile: str
    device: int
    host: int


@dataclass(frozen=True, kw_only=True)
class LibraryModel:
    """A model on this machine.

    `model` is what a project names to use it. `title` says what it is, such as "Wan 2.2 TI2V 5B". `size` are
    its bytes on the disk, `parameters` and `dtype` those of its transformers. `problem` says why it cannot be
    used.
    """

    model: str | None
    name: str
    origin: Origin
    title: str
    location: str
    size: int = 0
    parameters: int = 0
    dtype: str = ""
    licence: str | None = None
    needs: tuple[ProfileNeed, ...] = ()
    needs_first_frame: bool = False
    problem: str | None = None


def models_here(comfyui: Iterable[Path] | None = None) -> tuple[LibraryModel, ...]:
    """The models on this machine: the embedded one, those of the hub's cache, added ones, ComfyUI's."""
    found = [_described(None, "animatic", "embedded", str(EMBEDDED))]
    found += [_described(name, name, "added", str(file)) for name, file in entries()]
    found += _of_hub()
    for models in known_folders() if comfyui is None else comfyui:
        found += _of_comfyui(models)
    return tuple(found)


def _of_hub() -> Iterator[LibraryModel]:
    from moc_engine.sources.hub_cache import cached_models  # the hub's client takes a while to import

    for model, folder in cached_models():
        yield _described(str(model), model.repo, "hub", str(folder))


def _of_comfyui(models: Path) -> Iterator[LibraryModel]:
    seen: set[Path] = set()
    for file in files_of(models, "transformer"):
        if file in seen:
            continue
        try:
            part = identify_file(file)
        except EngineError as error:
            yield LibraryModel(
                model=str(file),
                name=file.stem,
                origin="comfyui",
                title="Unknown",
                location=str(file),
                size=file.stat().st_size,
                problem=str(error),
            )
            continue
        if part is None or part.part != "transformer":
            continue  # another program's model
        described = _described(str(file), file.stem, "comfyui", str(file), title=part.title)
        if described.problem is None:
            seen |= {source.path for source in find_here(file).parts.values()}
        yield described


def describe(model: str | None) -> LibraryModel:
    """One model, after a look at the header of each of its files of weights, which a render looks at too.

    Raises `ModelNotFound` and `ModelMismatch`.
    """
    return describe_parts(model_parts(model), model)


def describe_parts(parts: PipelineParts, model: str | None) -> LibraryModel:
    """A model of these parts, looked through as `describe` does. Raises as it does."""
    for name in parts.parts:
        if not _has_weights(parts, name):
            parts.part(name)
        elif (part := check_part_files(parts, name)).path.is_file():
            read_header(part.path)
    return _of_parts(parts, model, parts.name, _origin(model, parts), _location(parts))


def _has_weights(model: PipelineParts, name: str) -> bool:
    """Whether a part is more than settings, as schedulers and tokenizers are."""
    words = ("Tokenizer", "Processor", "Scheduler")
    return not any(word in (model.class_of(name) or "") for word in words)


def _origin(model: str | None, parts: PipelineParts) -> Origin:
    if model is None:
        return "embedded"
    return "hub" if hub_commit(parts) else "added"


def _location(model: PipelineParts) -> str:
    return str(model.folder or model.part("transformer").path)


def _described(
    model: str | None, name: str, origin: Origin, location: str, title: str = "Unknown"
) -> LibraryModel:
    try:
        return _of_parts(model_parts(model), model, name, origin, location)
    except EngineError as error:
        file = Path(location)
        return LibraryModel(
            model=model,
            name=name,
            origin=origin,
            title=title,
            location=location,
            size=file.stat().st_size if origin == "comfyui" and file.is_file() else 0,
            problem=str(error),
        )


def _of_parts(
    parts: PipelineParts, model: str | None, name: str, origin: Origin, location: str
) -> LibraryModel:
    transformers = [
        header
        for part in ("transformer", "transformer_2")
        if part in parts.parts
        for header in map(read_header, _weights(parts.parts[part].path))
    ]
    return LibraryModel(
        model=model,
        name=name,
        origin=origin,
        title=_title(parts),
        location=location,
        size=sum(file.stat().st_size for _, file in part_files(parts)),
        parameters=sum(header.parameters for header in transformers),
        dtype=transformers[0].dtype if transformers else "",
        licence=licence_of(parts),
        needs=_needs(parts),
        needs_first_frame=_needs_first_frame(parts),
    )


def _weights(path: Path) -> list[Path]:
    return [path] if path.is_file() else weight_files(path)


def _title(parts: PipelineParts) -> str:
    titles = (family.title(parts) for family in families_of_single_files())
    plain = parts.pipeline_class.removesuffix("Pipeline")
    return next((title for title in titles if title is not None), plain)


def licence_of(parts: PipelineParts) -> str | None:
    """The licence that the model card states in its front matter, or a single file in its metadata."""
    if parts.folder is None:
        file = parts.part("transformer").path
        stated = read_header(file).metadata.get("modelspec.license") if file.is_file() else None
        return None if stated is None else str(stated)
    try:
        text = (parts.folder / "README.md").read_text(encoding="utf-8")
        _, front, _ = text.split("---", 2)
        stated = yaml.safe_load(front)
        found = stated.get("license_name") or stated.get("license")
        return None if found is None else str(found)
    except (AttributeError, OSError, ValueError, yaml.YAMLError):
        return None


def _needs_first_frame(parts: PipelineParts) -> bool:
    """Whether each shot must start from a picture; False for pipelines that no family drives."""
    try:
        return family_entry(parts.pipeline_class).needs_first_frame(parts.index)
    except ModelMismatch:
        return False


def _needs(parts: PipelineParts) -> tuple[ProfileNeed, ...]:
    """What a shot needs under each profile; nothing for models whose size is not predicted."""
    size = model_size(parts)
    return () if size is None else tuple(_need(size, profile) for profile in PROFILES)


def _need(size: ModelSize, profile: Profile) -> ProfileNeed:
    seconds, height, width = NEED_SHOT
    need = predicted_need(size, profile, size.latent_shape((width, height), seconds))
    return ProfileNeed(profile=profile.name, device=need.device, host=need.host)


def check_files(files: ModelFiles, name: str) -> PipelineParts:
    """The parts of a model of single files. Raises `ModelNotFound` and `ModelMismatch`."""
    return assemble(files, source=name, name=name)
