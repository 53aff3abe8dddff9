"""A stream over something that is read by ranges, such as an object over the network."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Final

FIRST_BYTES: Final = 2**18
MOST_BYTES: Final = 2**23


class RangedStream(io.RawIOBase):
    """Reads ahead the further, the longer it is read in order: `FIRST_BYTES` first, `MOST_BYTES` at most.

    `read` gives the bytes from one position up to another one within `size`.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._at = 0
        self._ahead = b""
        self._ahead_from = 0
        self._next_bytes = FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError(f"offset: there is no position {at}")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        start = self._at - self._ahead_from
        if not 0 <= start < len(self._ahead):
            if self._at >= self._size:
                return 0
            self._fetch()
            start = 0
        piece = self._ahead[start : start + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def readall(self) -> bytes:
        """All that is left, by one read."""
        rest = self._read(self._at, self._size) if self._at < self._size else b""
        self._at += len(rest)
        return rest

    def _fetch(self) -> None:
        in_order = self._at == self._ahead_from + len(self._ahead) and bool(self._ahead)
        self._next_bytes = min(2 * self._next_bytes, MOST_BYTES) if in_order else FIRST_BYTES
        self._ahead = self._read(self._at, min(self._at + self._next_bytes, self._size))
        self._ahead_from = self._at
