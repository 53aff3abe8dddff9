"""How version 0.1 named the weights of a model folder; needed to recognise the takes it made."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SUFFIXES = {".json", ".safetensors", ".txt", ".model"}
_WHOLE_BELOW = 64 * 2**20
_EDGE = 2**20


def legacy_digest(folder: Path) -> str:
    """A digest of a model's files; of large ones, only their size and both ends were read."""
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
