"""Copies of artifacts on this machine, of bounded size, for any number of processes.

    FOLDER/9f/9f2c41….mp4        copies, the one that was used last the youngest
    FOLDER/held/.part-….mp4      copies that are in use: links to the same content

A copy that is in use has a link of its own, named after the process, so that it stays while others make room;
the copy has more than one link then, by which others see that it is in use. Links of killed processes are
removed by those that open the folder later.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from moc_engine.files import atomic_file, listed, remove_abandoned, temporary_path

BYTES: Final = 20 * 2**30
"""What the copies may occupy, unless something else is asked for."""


class ArtifactCache:
    """Copies that occupy `most_bytes` at most, besides those in use that found no room."""

    def __init__(self, folder: Path, most_bytes: int = BYTES) -> None:
        self.folder = folder
        self._held = folder / "held"
        self._most_bytes = most_bytes
        self._locks = tuple(threading.Lock() for _ in range(64))

    @contextmanager
    def held(self, key: str, size: int, fetch: Callable[[Path], None]) -> Iterator[Path]:
        """A path to the copy of an artifact, which stays within the context.

        `fetch` writes it where there is none, whole, or raises. Threads of one process fetch it once.
        """
        with self._locks[hash(key) % len(self._locks)]:
            path = self._hold(key) or self._fetched(key, size, fetch)
        try:
            yield path
        finally:
            with suppress(PermissionError):  # still open on Windows: left to `remove_abandoned`
                path.unlink(missing_ok=True)

    def open(self, key: str) -> BinaryIO | None:
        """A stream of the copy; None where there is none."""
        target = self.folder / key
        try:
            stream = target.open("rb")
            os.utime(target)
        except FileNotFoundError:
            return None
        return stream

    def add(self, key: str, file: Path) -> None:
        """Copies a file that was stored; where there is no room for it, nothing."""
        size = file.stat().st_size
        with suppress(OSError):
            if self._make_room(size) and not (self.folder / key).exists():
                with atomic_file(self.folder / key) as part:
                    shutil.copyfile(file, part)

    def remove(self, key: str) -> None:
        """Removes a copy, if there is one; where it is in use, it stays as long as that."""
        with suppress(PermissionError):
            (self.folder / key).unlink(missing_ok=True)

    def remove_abandoned(self) -> None:
        """Removes what killed processes left."""
        for folder in (self._held, *self.folder.glob("??")):
            remove_abandoned(folder)

    def _hold(self, key: str) -> Path | None:
        """A link to a copy; None where there is none."""
        target = self.folder / key
        if not target.exists():
            return None
        self._held.mkdir(parents=True, exist_ok=True)
        link = temporary_path(self._held / target.name)
        try:
            _link(target, link)
            os.utime(target)
        except FileNotFoundError:  # removed meanwhile
            return link if link.exists() else None
        return link

    def _fetched(self, key: str, size: int, fetch: Callable[[Path], None]) -> Path:
        """Fetches an artifact; it becomes a copy for others if there is room."""
        self._held.mkdir(parents=True, exist_ok=True)
        target = self.folder / key
        path = temporary_path(self._held / target.name)
        fits = self._make_room(size)
        try:
            fetch(path)
            _flush(path)
            if fits:
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):  # another process was faster
                    _link(path, target)
                self._make_room(0)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _make_room(self, size: int) -> bool:
        """Whether there is room for `size`, once the copies used longest ago and not in use are removed."""
        if size > self._most_bytes:
            return False
        copies = []
        for file in (file for folder in self.folder.glob("??") for file in listed(folder)):
            with suppress(FileNotFoundError):
                stat = file.stat()
                copies.append((stat.st_mtime, stat.st_size, stat.st_nlink, file))
        used = size + sum(bytes_ for _, bytes_, _, _ in copies)
        for _, bytes_, links, file in sorted(copies):
            if used <= self._most_bytes:
                break
            if links == 1:
                with suppress(PermissionError):  # open on Windows
                    file.unlink(missing_ok=True)
                    used -= bytes_
        return used <= self._most_bytes


def _link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:
        with atomic_file(target) as part:
            shutil.copyfile(source, part)


def _flush(path: Path) -> None:
    """Flushes a file to the disk, so that no cut copy is there after the machine failed."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
