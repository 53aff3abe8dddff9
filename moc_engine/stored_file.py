"""Files of finished takes, wherever they are stored. No torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


class StoredFile(Hashable, Protocol):
    """A file that is only read, in a folder or in object storage. It is hashable, and its content is fixed.

    `str` gives its path or URL, for messages. Both methods raise `OSError` where it cannot be read.
    """

    def open(self) -> BinaryIO:
        """A stream that can seek; the caller closes it."""

    def local(self) -> AbstractContextManager[Path]:
        """A path to the content on this machine, valid within the context: for libraries that need one."""


@dataclass(frozen=True)
class LocalFile:
    """A stored file in a folder of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> BinaryIO:
        return self.path.open("rb")

    @contextmanager
    def local(self) -> Iterator[Path]:
        yield self.path
