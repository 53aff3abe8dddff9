"""The LoRA files on this machine: what each is, and whether it can be loaded. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from moc_engine.errors import EngineError
from moc_engine.lora_files import read_lora_file
from moc_engine.sources.comfyui import files_of, known_folders
from moc_engine.sources.weights_header import read_header


@dataclass(frozen=True, kw_only=True)
class LibraryLora:
    """A LoRA file: its rank, how its keys are named, the expert it is for, the sampler preset it needs.

    `file` is what a project names to use it: a path, or a name of the hub with its commit.
    """

    name: str
    file: str
    size: int
    rank: int = 0
    layout: str = ""
    expert: str | None = None
    preset: str | None = None
    problem: str | None = None


def loras_here(
    folders: Iterable[Path] = (), comfyui: Iterable[Path] | None = None
) -> tuple[LibraryLora, ...]:
    """The LoRA files of these folders, of ComfyUI's, and those of the hub's cache."""
    from moc_engine.sources.hub_cache import cached_files  # the hub's client takes a while to import

    files = [file for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    for models in known_folders() if comfyui is None else comfyui:
        files += files_of(models, "lora")
    here = [_lora(file, str(file)) for file in dict.fromkeys(files)]
    of_hub = (_lora(path, str(name)) for name, path in cached_files())
    return (*here, *(lora for lora in of_hub if lora.problem is None))  # there are other files beside


def describe_lora(file: Path) -> LibraryLora | None:
    """One LoRA, after a look at its header; None for a file that is none.

    Raises `EngineError` for a file that is damaged, or a LoRA that cannot be loaded.
    """
    if file.suffix.lower() != ".safetensors":
        return None
    if not any("lora" in name.lower() for name in read_header(file).tensors):
        return None
    read_lora_file(file)
    return _lora(file, str(file))


def _lora(file: Path, called: str) -> LibraryLora:
    size = file.stat().st_size
    try:
        read = read_lora_file(file)
    except EngineError as error:
        return LibraryLora(name=file.stem, file=called, size=size, problem=str(error))
    return LibraryLora(
        name=file.stem,
        file=called,
        size=size,
        rank=read.rank,
        layout=read.layout,
        expert=read.expert,
        preset=read.preset,
    )
