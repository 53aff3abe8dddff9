"""Checks the files of a part in the format of diffusers before a library reads them. No torch.

The errors of libraries often name no file, and never what to do about it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import ModelNotFound
from moc_engine.sources.parts import PartSource, PipelineParts
from moc_engine.sources.weights_header import PICKLES, is_pickle, read_header

AGAIN: Final = "download or copy the model again"
"""What to do about a file that is missing or damaged."""

_WHOLE: Final = ("diffusion_pytorch_model.safetensors", "model.safetensors")
"""What diffusers and transformers call the weights of a part."""


def check_part_files(model: PipelineParts, name: str) -> PartSource:
    """Where a part lies. Raises `ModelNotFound` unless it has a config.json and all of its weights, whole.

    Weights are safetensors: those that an index names besides are refused, for libraries read all of them.
    """
    part = model.part(name)
    if part.path.is_file():
        return part  # its header is read with it
    read_json(part.path / "config.json")
    for file in weight_files(part.path):
        if file.suffix != ".safetensors" or (file.is_file() and is_pickle(file)):
            raise _unsafe(model, name, file)
        if not file.is_file():
            pickled = next((other for other in sorted(part.path.glob("*")) if other.suffix in PICKLES), None)
            raise _missing(file) if pickled is None else _unsafe(model, name, pickled)
        read_header(file)
    return part


def weight_files(folder: Path) -> list[Path]:
    """The files of a part's weights, there or missing: one, or the pieces that its index names.

    Raises `ModelNotFound` for an index that is damaged, or names files elsewhere.
    """
    whole = next((folder / name for name in _WHOLE if (folder / name).is_file()), None)
    if whole is not None:
        return [whole]
    for name in _WHOLE:
        index = folder / f"{name}.index.json"
        if index.is_file():
            pieces = read_json(index).get("weight_map")
            if not isinstance(pieces, dict) or not pieces:
                raise ModelNotFound(f"{index} is damaged; {AGAIN}")
            names = sorted(set(map(str, pieces.values())))
            if any(re.search(r"[/\\:]", piece) or piece in ("", ".", "..") for piece in names):
                raise ModelNotFound(f"{index} names files outside of its folder; {AGAIN}")
            return [folder / piece for piece in names]
    return [folder / _WHOLE["_class_name" not in read_json(folder / "config.json")]]


def read_json(file: Path) -> dict[str, Any]:
    """The content of a file of settings. Raises `ModelNotFound` where it is missing or damaged."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise _missing(file) from error
    except OSError as error:
        raise ModelNotFound(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelNotFound(f"{file} is damaged; {AGAIN}") from error
    if not isinstance(content, dict):
        raise ModelNotFound(f"{file} is damaged; {AGAIN}")
    return content


def _missing(file: Path) -> ModelNotFound:
    return ModelNotFound(f"{file} is missing; {AGAIN}")


def _unsafe(model: PipelineParts, name: str, file: Path) -> ModelNotFound:
    return ModelNotFound(
        f"the model at {model.source} cannot be read: only safetensors are, and {name}/{file.name} is not "
        "one; take the model in safetensors"
    )
