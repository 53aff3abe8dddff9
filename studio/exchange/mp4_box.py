"""A JSON document as a box of its own in an MP4 file, of any length; players pass over it.

An MP4 file is a row of boxes: four bytes of length, four of type, then the content. The type `uuid` is for
anybody's own use, told apart by 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final
from uuid import UUID

OURS: Final = UUID("8f0c6f4e-5d0b-4c55-9a3e-6d6f632d7231").bytes
MOST_BYTES: Final = 32 * 2**20
MOST_BOXES: Final = 100_000
"""How many boxes of a file are looked at."""

_HEADER: Final = 8


def append_box(film: Path, content: bytes) -> None:
    """Adds a box of ours at the end of a file."""
    with film.open("ab") as file:
        file.write((_HEADER + len(OURS) + len(content)).to_bytes(4, "big") + b"uuid" + OURS + content)


def read_box(film: Path) -> bytes | None:
    """The content of the last box of ours; None where there is none, or one that is cut off."""
    found: bytes | None = None
    with film.open("rb") as file:
        for kind, start, length in islice(_boxes(file), MOST_BOXES):
            if kind != b"uuid" or not len(OURS) <= length <= len(OURS) + MOST_BYTES:
                continue
            file.seek(start)
            if file.read(len(OURS)) == OURS:
                content = file.read(length - len(OURS))
                found = content if len(content) == length - len(OURS) else None
    return found


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
