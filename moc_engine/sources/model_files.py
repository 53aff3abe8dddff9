"""A model made of single files, as ComfyUI has them, and how it is written down. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.files import write_text

ENTRY_SUFFIX: Final = ".json"
"""The ending of a file that describes a model of several files."""

_FORMAT: Final = "moc-studio model"

Part = Literal["transformer", "vae", "text_encoder", "image_encoder"]


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """What a file of weights is: a part of a model, of which variant, and that variant's title."""

    part: Part
    variant: str
    title: str


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where the parts of a model lie.

    `transformer_2` is the expert for low noise of a model that has two. `text_encoder` and
    `image_encoder` are files, or folders in the format of transformers, as `tokenizer` is. `config` is a
    folder in the format of diffusers with the settings of each part, for models of other sizes than the
    published ones.
    """

    transformer: Path
    transformer_2: Path | None = None
    vae: Path | None = None
    text_encoder: Path | None = None
    tokenizer: Path | None = None
    image_encoder: Path | None = None
    config: Path | None = None

    @property
    def present(self) -> Mapping[str, Path]:
        """The parts that are named."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in named.items() if path is not None}


def write_entry(file: Path, model: ModelFiles | Path) -> None:
    """Writes down a model of several files, or the folder of one, with absolute paths."""
    named = {"folder": model} if isinstance(model, Path) else model.present
    paths = {name: str(path.absolute()) for name, path in named.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps({"format": _FORMAT, "version": 1, **paths}, indent=2) + "\n")


def read_entry(file: Path) -> ModelFiles | Path:
    """What `write_entry` wrote: the files of a model, or its folder. Paths may be relative to the file.

    Raises `ModelMismatch` for a file of another kind.
    """
    try:
        content: dict[str, Any] = json.loads(file.read_bytes())
        if content.pop("format") != _FORMAT or content.pop("version") != 1:
            raise ValueError("another format")
        paths = {name: file.parent / str(path) for name, path in content.items()}
        return paths["folder"] if paths.keys() == {"folder"} else ModelFiles(**paths)
    except OSError as error:
        raise ModelNotFound(f"{file} cannot be read: {error.strerror or error}") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelMismatch(
            f"{file} does not describe a model; moc-studio models add writes such files"
        ) from error
