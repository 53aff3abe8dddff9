"""Boxes of our own in an MP4 file, of any length, which players pass over: a recipe as JSON, and pictures.

An MP4 file is a row of boxes: four bytes of length, four of type, then the content. The type `uuid` is for
anybody's own use, told apart by 16 bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

RECIPE: Final = UUID("8f0c6f4e-5d0b-4c55-9a3e-6d6f632d7231").bytes
PICTURE: Final = UUID("8f0c6f4e-5d0b-4c55-9a3e-6d6f632d7232").bytes
MOST_BYTES: Final = 32 * 2**20
MOST_BOXES: Final = 100_000
"""How many boxes of a file are looked at."""

_HEADER: Final = 8


def append_box(film: Path, content: bytes, kind: bytes = RECIPE) -> None:
    """Adds a box of ours at the end of a file."""
    with film.open("ab") as file:
        file.write((_HEADER + len(kind) + len(content)).to_bytes(4, "big") + b"uuid" + kind + content)


def read_box(film: Path) -> bytes | None:
    """The recipe in the last box of one; None where there is none, or one that is cut off."""
    return next(iter(deque(_contents(film, RECIPE), maxlen=1)), None)


def read_pictures(film: Path) -> Iterator[bytes]:
    """The contents of boxes of pictures, whatever they are; those that are cut off are left out."""
    return (content for content in _contents(film, PICTURE) if content is not None)


def _contents(film: Path, wanted: bytes) -> Iterator[bytes | None]:
    """The content of each box of a kind, None for one that is cut off."""
    with film.open("rb") as file:
        for kind, start, length in islice(_boxes(file), MOST_BOXES):
            if kind != b"uuid" or not len(wanted) <= length <= len(wanted) + MOST_BYTES:
                continue
            file.seek(start)
            if file.read(len(wanted)) == wanted:
                content = file.read(length - len(wanted))
                yield content if len(content) == length - len(wanted) else None


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The type of each box, and where its content begins and how long that is."""
    end = file.seek(0, 2)
    at = 0
    while at + _HEADER <= end:
        file.seek(at)
        header = file.read(_HEADER)
        size, kind, head = int.from_bytes(header[:4], "big"), header[4:], _HEADER
        if size == 1:
            size, head = int.from_bytes(file.read(8), "big"), 2 * _HEADER
        elif size == 0:
            size = end - at
        if size < head:
            return
        yield kind, at + head, size - head
        at += size
