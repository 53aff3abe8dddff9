"""Artifacts in a folder of this machine, or of one that is shared.

    FOLDER/9f/9f2c41….mp4

A file is copied under a temporary name, flushed to the disk and renamed. Storing a file that is there sets
its time of change, so that it counts as young and is not removed before it has its row; removing moves the
file aside first and looks at that time then, so a file that was stored again after it was listed is put back.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moc_engine.files import abandoned, atomic_file, remove_abandoned, write_text
from moc_engine.stored_file import LocalFile
from studio.store.artifacts import OWNER, YOUNG, Artifact, Artifacts, Leftover, Orphan, key_of

_ASIDE: Final = ".removed-"


@dataclass(frozen=True)
class FolderArtifact(LocalFile):
    """An artifact in a folder."""

    @property
    def digest(self) -> str:
        return self.path.stem


class ArtifactFolder(Artifacts):
    """Artifacts in a folder, which need not exist yet."""

    def __init__(self, folder: Path, home: str = "") -> None:
        self.folder = folder
        self.home = home

    def __str__(self) -> str:
        return str(self.folder)

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

    def file(self, digest: str, suffix: str) -> FolderArtifact:
        return FolderArtifact(self._path(digest, suffix))

    def found(self, digest: str, suffix: str) -> FolderArtifact | None:
        return None if self.size(digest, suffix) is None else self.file(digest, suffix)

    def size(self, digest: str, suffix: str) -> int | None:
        try:
            found = self._path(digest, suffix).lstat()
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def orphans(self, known: Collection[str]) -> Iterator[Orphan]:
        before = self._time() - YOUNG
        for file in sorted(self.folder.glob("??/*")):
            if not file.name.startswith(".") and file.stem not in known and _is_older(file, before):
                key = f"{file.parent.name}/{file.name}"
                with suppress(FileNotFoundError):  # another process removed it
                    yield Orphan(key=key, location=str(file), bytes=file.lstat().st_size, before=before)

    def remove(self, orphan: Orphan) -> bool:
        aside = self._move_aside(self.folder / orphan.key)
        return aside is not None and self._remove_or_put_back(aside, orphan.before)

    def owner(self) -> str | None:
        try:
            return (self.folder / OWNER).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def claim(self, studio: str) -> None:
        write_text(self.folder / OWNER, studio)

    def is_empty(self) -> bool:
        return not any(self.folder.glob("??/*"))

    def abandoned(self) -> list[Leftover]:
        parts = [part for folder in sorted(self.folder.glob("??")) for part in abandoned(folder)]
        left = []
        for part in parts:
            with suppress(FileNotFoundError):  # another process removed it
                left.append(Leftover(location=str(part), bytes=part.lstat().st_size))
        return left

    def remove_abandoned(self) -> None:
        before = self._time() - YOUNG
        for folder in self.folder.glob("??"):
            remove_abandoned(folder)
            for aside in folder.glob(f"{_ASIDE}*"):
                self._remove_or_put_back(aside, before)

    def _path(self, digest: str, suffix: str) -> Path:
        return self.folder / key_of(digest, suffix)

    def _time(self) -> float:
        """The time by the clock that dates the folder's files: another machine's where it is shared."""
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:  # there is no folder, or it cannot be written: nothing will be removed
            return time.time()

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

    def _remove_or_put_back(self, aside: Path, before: float) -> bool:
        """Decides by the age of a file that nobody can touch any more; returns whether it was removed."""
        try:
            if _is_older(aside, before):
                aside.unlink()
                return True
            aside.replace(aside.with_name(aside.name.rpartition("-")[2]))  # over a copy with its content
        except FileNotFoundError:  # another process decided
            pass
        return False


def _is_older(file: Path, before: float) -> bool:
    try:
        return file.stat().st_mtime < before
    except FileNotFoundError:
        return False
