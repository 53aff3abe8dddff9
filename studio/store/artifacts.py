"""Artifacts: clips, latents, traces and thumbnails, each a file named by its content.

    ROOT/artifacts/9f/9f2c41….mp4

A file is whole and on the disk before a row names it. A file that no row names is an orphan: of a take that
was deleted, or of a process that was killed between the two.

Any number of processes may store and remove at the same time. Storing a file that is there sets its time of
change, so that it counts as young and is not removed before it has its row; removing moves the file aside
first and looks at that time then, so a file that was stored again after it was listed is put back.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from moc_engine.files import abandoned, atomic_file, remove_abandoned
from moc_engine.stored_file import LocalFile, StoredFile

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_ASIDE: Final = ".removed-"

YOUNG: Final = 3600.0
"""Seconds after it was stored for which a file without a row is kept: it may still get one."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file by the SHA-256 of its content, with its suffix such as ".mp4" and its size."""

    digest: str
    suffix: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A stored file that no row names: its key such as "9f/9f2c….mp4", its path or URL, and its size."""

    key: str
    location: str
    bytes: int

    @property
    def digest(self) -> str:
        return PurePosixPath(self.key).stem


class Artifacts:
    """The folder of a studio's artifacts."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "artifacts"

    def put(self, file: Path) -> Artifact:
        """Copies a file to its place, if it is not there whole, and flushes it to the disk."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        artifact = Artifact(digest=digest, suffix=file.suffix, bytes=file.stat().st_size)
        target = self._path(digest, file.suffix)
        if not self._touch(target, artifact.bytes):
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(target) as part:
                shutil.copyfile(file, part)
        return artifact

    def file(self, digest: str, suffix: str) -> StoredFile:
        """An artifact to read, whether it is there or not. Raises `ValueError` for what is no digest."""
        return LocalFile(self._path(digest, suffix))

    def size(self, digest: str, suffix: str) -> int | None:
        """The bytes of an artifact; None where it is missing. Symbolic links are not followed."""
        try:
            found = self._path(digest, suffix).lstat()
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def orphans(self, known: Collection[str]) -> Iterator[Orphan]:
        """Files whose digest is not among the `known` ones, and that are older than `YOUNG`."""
        for file in sorted(self.folder.glob("??/*")):
            if not file.name.startswith(".") and file.stem not in known and _is_old(file):
                with suppress(FileNotFoundError):  # another process removed it
                    size = file.lstat().st_size
                    yield Orphan(key=f"{file.parent.name}/{file.name}", location=str(file), bytes=size)

    def remove(self, key: str) -> bool:
        """Removes the orphan of this key; returns whether it did. One stored again meanwhile stays."""
        aside = self._move_aside(self.folder / key)
        return aside is not None and self._remove_or_put_back(aside)

    def abandoned(self) -> list[Path]:
        """The temporary files on this machine that killed processes left."""
        return [part for folder in sorted(self.folder.glob("??")) for part in abandoned(folder)]

    def remove_abandoned(self) -> None:
        """Removes what killed processes left half-written, and finishes removals that they began."""
        for folder in self.folder.glob("??"):
            remove_abandoned(folder)
            for aside in folder.glob(f"{_ASIDE}*"):
                self._remove_or_put_back(aside)

    def _path(self, digest: str, suffix: str) -> Path:
        if not _NAME.fullmatch(digest):
            raise ValueError(f"digest: {digest!r} names no artifact")
        return self.folder / digest[:2] / f"{digest}{suffix}"

    def _touch(self, target: Path, size: int) -> bool:
        """Makes a file young; returns whether it is there with its whole size, also after that."""
        try:
            if target.stat().st_size != size:  # cut: left old, so that no removal puts it back
                return False
            os.utime(target)
            return target.stat().st_size == size  # asked last: it may have been moved aside meanwhile
        except FileNotFoundError:
            return False

    def _move_aside(self, file: Path) -> Path | None:
        """Takes a file out of its place in one step; returns where it is, None if it was gone."""
        aside = file.with_name(f"{_ASIDE}{secrets.token_hex(4)}-{file.name}")
        try:
            file.replace(aside)
        except FileNotFoundError:
            return None
        return aside

    def _remove_or_put_back(self, aside: Path) -> bool:
        """Decides by the age of a file that nobody can touch any more; returns whether it was removed."""
        try:
            if _is_old(aside):
                aside.unlink()
                return True
            aside.replace(aside.with_name(aside.name.rpartition("-")[2]))  # over a copy with its content
        except FileNotFoundError:  # another process decided
            pass
        return False


def _is_old(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime > YOUNG
    except FileNotFoundError:
        return False
