"""Files named by their content: clips, latents, traces, thumbnails.

    ROOT/artifacts/9f/9f2c41….mp4

A file is whole and on the disk before a row speaks of it; a file that no row speaks of is an orphan, which
a crash between the two may leave and a sweep removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moc_engine.files import atomic_file, remove_abandoned

_NAME: Final = re.compile(r"[0-9a-f]{64}")
YOUNG: Final = 3600.0
"""Seconds for which an orphan may still get its row."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file by the SHA-256 of its content, with its suffix such as ".mp4" and its size."""

    digest: str
    suffix: str
    bytes: int


class Artifacts:
    """The folder of a studio's artifacts."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "artifacts"

    def put(self, file: Path) -> Artifact:
        """Copies a file to its place, where it is not there yet, and flushes it to the disk.

        One that is there already counts as young again: nobody sweeps it before it has its row.
        """
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        artifact = Artifact(digest=digest, suffix=file.suffix, bytes=file.stat().st_size)
        target = self.path(digest, file.suffix)
        try:
            os.utime(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(target) as part:
                shutil.copyfile(file, part)
        return artifact

    def path(self, digest: str, suffix: str) -> Path:
        """Where an artifact lies; raises `ValueError` for a name that is no digest."""
        if not _NAME.fullmatch(digest):
            raise ValueError(f"digest: {digest!r} names no artifact")
        return self.folder / digest[:2] / f"{digest}{suffix}"

    def orphans(self, known: Collection[str]) -> Iterator[Path]:
        """Files whose digest is not among the `known` ones and that are old enough to be nobody's."""
        for file in sorted(self.folder.glob("??/*")):
            if file.name.startswith("."):
                continue
            if file.stem not in known and time.time() - file.stat().st_mtime > YOUNG:
                yield file

    def remove_abandoned(self) -> None:
        """Removes what killed processes left half-written."""
        for folder in self.folder.glob("??"):
            remove_abandoned(folder)

    def remove(self, file: Path) -> None:
        file.unlink(missing_ok=True)
