"""Names a model down to its weights and the program's version: a take made with others is outdated."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Final

import moc_engine
from moc_engine.errors import ModelNotFound
from studio import __version__

EMBEDDED: Final = Path(moc_engine.__file__).parent / "models" / "animatic" / "weights"
"""Where the model that comes with the engine lies."""

ANIMATIC: Final = "animatic"
"""The family that reads captions by the words of `moc_engine.vocabulary`."""

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_SUFFIXES = {".json", ".safetensors", ".txt", ".model"}
_WHOLE_BELOW = 64 * 2**20
_EDGE = 2**20


def family(model: str | None) -> str | None:
    """What kind of pipeline `model` is, such as "animatic" or "wan"; None for a hub id, which says nothing.

    `model` is a folder, a hub id, or None for the embedded one. Raises `ModelNotFound` for a folder
    that holds no model.
    """
    folder = _folder(model)
    if not folder.is_dir():
        if model is not None and not _HUB_ID.fullmatch(model):
            raise ModelNotFound(f"there is no folder {model}, and it is no name of a model on the hub")
        return ANIMATIC if model is None else None
    index = folder / "model_index.json"
    try:
        name = json.loads(index.read_bytes())["_class_name"]
    except FileNotFoundError as error:
        raise ModelNotFound(f"no model in {folder}: model_index.json is missing") from error
    except OSError as error:
        raise ModelNotFound(f"no model in {folder}: model_index.json: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelNotFound(f"no model in {folder}: model_index.json is damaged") from error
    return str(name).removesuffix("Pipeline").lower()


def identify(model: str | None) -> str:
    """A name for the model `model`, the same wherever it lies: its family and a digest of its files.

    Of very large files only the size and both ends are read. A hub id stands for itself. Raises as
    `family` does.
    """
    kind = family(model)
    name = f"{kind}@{_digest(_folder(model))}" if _folder(model).is_dir() else model or ANIMATIC
    return f"{name} ({__version__})"


def _folder(model: str | None) -> Path:
    return EMBEDDED if model is None else Path(model)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in _SUFFIXES and file.is_file():
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(_content(file))
    return digest.hexdigest()[:12]


def _content(file: Path) -> bytes:
    size = file.stat().st_size
    if size <= _WHOLE_BELOW:
        return file.read_bytes()
    with file.open("rb") as stream:
        head = stream.read(_EDGE)
        stream.seek(-_EDGE, 2)
        return b"%d" % size + head + stream.read()
