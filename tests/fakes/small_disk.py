"""A small disk of its own, which can be filled up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

SIZE: Final = 16 * 2**20
"""Bytes of the disk."""


class SmallDisk:
    """A disk mounted at `place` that is filled up but for some room."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / "filler"

    def leave(self, room: int) -> None:
        """Fills it up so that this many bytes are free."""
        self.free()
        with self._filler.open("wb", buffering=0) as filler:
            with pytest.raises(OSError, match="No space left"):
                while True:
                    filler.write(bytes(2**18))
            filler.truncate(max(0, filler.tell() - room))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(place: Path) -> Iterator[SmallDisk]:
    """A disk in memory at a folder that is empty or new; skips the test where nothing may be mounted."""
    place.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(place)
    finally:
        # PyAV leaves a file open whose first bytes found no room
        subprocess.run(["umount", "--lazy", str(place)], check=True)
