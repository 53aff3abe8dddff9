"""Names a model down to its weights and the program's version: a take made with others is outdated."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import moc_engine
from studio import __version__

EMBEDDED: Final = Path(moc_engine.__file__).parent / "animatic" / "weights"
"""Where the model that comes with the engine lies."""

_SUFFIXES = {".json", ".safetensors", ".txt", ".model"}
_WHOLE_BELOW = 64 * 2**20
_EDGE = 2**20


def identify(model: str | None) -> str:
    """A name for the model `model` (a folder, a hub id, or the embedded one where None).

    Folders get a digest of their files; of very large files only the size and both ends are read. A
    hub id stands for itself.
    """
    return f"{_weights(model)} ({__version__})"


def _weights(model: str | None) -> str:
    folder = EMBEDDED if model is None else Path(model)
    name = "animatic" if model is None else folder.name
    if not folder.is_dir():
        return model or name
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in _SUFFIXES and file.is_file():
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(_content(file))
    return f"{name}@{digest.hexdigest()[:12]}"


def _content(file: Path) -> bytes:
    size = file.stat().st_size
    if size <= _WHOLE_BELOW:
        return file.read_bytes()
    with file.open("rb") as stream:
        head = stream.read(_EDGE)
        stream.seek(-_EDGE, 2)
        return b"%d" % size + head + stream.read()
