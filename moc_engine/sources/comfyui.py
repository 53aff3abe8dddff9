"""The folders in which ComfyUI keeps models: they are found and used in place. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "transformer": ("diffusion_models", "unet"),
    "text_encoder": ("text_encoders", "clip"),
    "vae": ("vae",),
    "image_encoder": ("clip_vision",),
    "lora": ("loras",),
}
"""Where ComfyUI keeps each kind of file, below its folder `models`."""


def models_folder_of(file: Path) -> Path | None:
    """ComfyUI's folder `models` in which a file lies; None for a file elsewhere."""
    kinds = {name for names in FOLDERS.values() for name in names}
    return next((parent.parent for parent in file.absolute().parents if parent.name in kinds), None)


def beside(transformer: Path, part: str) -> list[Path]:
    """Where the part of a transformer's model may lie: its own folder, and ComfyUI's for such parts."""
    models = models_folder_of(transformer)
    folders = [] if models is None else [models / name for name in FOLDERS[part]]
    return [folder for folder in (*folders, transformer.absolute().parent) if folder.is_dir()]


def known_folders(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> Iterator[Path]:
    """ComfyUI's folders `models` on this machine, in the places where people install it.

    $COMFYUI_PATH names another place. Folders that an extra_model_paths.yaml there names are such as well,
    where the folders below them have ComfyUI's names.
    """
    own = home or Path.home()
    named = [Path(environment["COMFYUI_PATH"])] if environment.get("COMFYUI_PATH") else []
    usual = [
        own / "ComfyUI",
        own / "Documents" / "ComfyUI",
        own / "comfyui",
        Path("/workspace/ComfyUI"),
        Path("/opt/ComfyUI"),
    ]
    seen: set[Path] = set()
    for place in (*named, *usual):
        models = place if place.name == "models" else place / "models"
        for found in (models, *_extra_folders(models.parent / "extra_model_paths.yaml")):
            if found.is_dir() and found.resolve() not in seen:
                seen.add(found.resolve())
                yield found


def _extra_folders(file: Path) -> Iterator[Path]:
    """The folders that hold those which ComfyUI's file of further paths names; none of a damaged file."""
    try:
        sections = yaml.safe_load(file.read_text(encoding="utf-8"))
        for section in sections.values():
            base = file.parent / Path(section.get("base_path", "")).expanduser()
            for kind in (name for names in FOLDERS.values() for name in names):
                for line in str(section.get(kind) or "").splitlines():
                    folder = base / line.strip()
                    if line.strip() and folder.name == kind:
                        yield folder.parent
    except (AttributeError, OSError, RuntimeError, TypeError, ValueError, yaml.YAMLError):
        return


def files_of(models: Path, part: str) -> list[Path]:
    """The files of weights of one kind below ComfyUI's folder `models`."""
    return sorted(
        file
        for name in FOLDERS[part]
        for file in (models / name).rglob("*")
        if file.suffix.lower() in (".safetensors", ".gguf") and file.is_file()
    )
