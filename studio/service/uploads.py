"""Files that are being uploaded: kept in the studio's scratch folder, within limits."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from moc_engine.files import scratch_folder
from studio.domain.errors import OutputFailed, WrongUse
from studio.domain.messages import message
from studio.store.os_errors import disk_full, os_errors_as_studio_errors

MOST_BYTES: Final = 4 * 2**30
"""The largest upload."""

RESERVE: Final = 256 * 2**20
"""Bytes that an upload must leave free on the disk."""


class Upload:
    """A file in the making. It is gone after `discard`, which is safe to call at any time."""

    def __init__(
        self, scratch: Path, declared: int | None, *, most: int = MOST_BYTES, reserve: int = RESERVE
    ) -> None:
        """`declared` is the expected size, if known.

        Raises `WrongUse` if it is above the limit, and `OutputFailed` if the disk has no room for it.
        """
        self._scratch = scratch
        self._most = most
        self._reserve = reserve
        self._size = 0
        self._check_limit(declared or 0)
        self._cleanup = ExitStack()
        with os_errors_as_studio_errors(scratch), ExitStack() as cleanup:
            folder = cleanup.enter_context(scratch_folder(scratch))
            self._check_space(declared or 0)
            self._path = folder / "upload"
            self._file = cleanup.enter_context(self._path.open("wb"))
            self._cleanup = cleanup.pop_all()

    def write(self, piece: bytes) -> None:
        """Appends to the file. Raises as the constructor does."""
        self._check_limit(self._size + len(piece))
        self._check_space(len(piece))
        with os_errors_as_studio_errors(self._scratch):
            self._file.write(piece)
        self._size += len(piece)

    def finish(self) -> Path:
        """The path of the whole file."""
        with os_errors_as_studio_errors(self._scratch):
            self._file.close()
        return self._path

    def discard(self) -> None:
        """Removes the file."""
        self._cleanup.close()

    def _check_limit(self, size: int) -> None:
        if size > self._most:
            raise WrongUse(message("upload-too-large", most=self._most / 2**30))

    def _check_space(self, more: int) -> None:
        if shutil.disk_usage(self._scratch).free < more + self._reserve:
            raise OutputFailed(disk_full(self._scratch))
