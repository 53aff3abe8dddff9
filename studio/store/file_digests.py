"""SHA-256 digests of large files, kept from one start of the program to the next.

A digest holds as long as the path, size, time of change and inode of its file stay the same. The cache is a
JSON file; it may be deleted at any time, and of two processes that write it at once the last one counts:
what is missing from it is computed again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from moc_engine.files import write_text

EXPIRES: Final = 90 * 24 * 3600.0
"""Seconds after which a digest that nobody asked for is dropped."""

MOST_FILES: Final = 5000
"""How many digests are kept, the latest used."""

_BLOCK: Final = 4 * 2**20
_SETTLED: Final = 2.0
"""Seconds since its last change after which a file's time of change tells it from later versions."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    used: float


class FileDigests:
    """Digests of files by path. `cache` is the JSON file; None keeps them in memory alone."""

    def __init__(self, cache: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._loaded: int | None = None

    def get(self, file: Path) -> str | None:
        """The digest of a file as it is now, None where it must be computed."""
        path = str(file.absolute())
        stat = file.stat()
        identity = stat.st_size, stat.st_mtime_ns, stat.st_ino
        for attempt in range(2):
            entry = self._entries.get(path)
            if entry is not None and (entry.size, entry.mtime_ns, entry.inode) == identity:
                self._entries[path] = _Entry(**{**asdict(entry), "used": self._clock()})
                return entry.sha256
            if attempt or not self._load():
                break
        return None

    def compute(self, file: Path) -> Generator[int, None, str]:
        """Reads a file and keeps its digest; yields the number of bytes after each block read."""
        before = file.stat()
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                yield len(block)
        after = file.stat()
        unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if unchanged and abs(self._clock() - after.st_mtime) > _SETTLED:
            self._entries[str(file.absolute())] = _Entry(
                size=after.st_size,
                mtime_ns=after.st_mtime_ns,
                inode=after.st_ino,
                sha256=digest.hexdigest(),
                used=self._clock(),
            )
        return digest.hexdigest()

    def save(self) -> None:
        """Writes the cache file, without what expired."""
        if self._cache is None:
            return
        self._load()
        now = self._clock()
        kept = [(path, entry) for path, entry in self._entries.items() if now - entry.used < EXPIRES]
        kept.sort(key=lambda pair: -pair[1].used)
        self._entries = dict(kept[:MOST_FILES])
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._cache, json.dumps({path: asdict(entry) for path, entry in self._entries.items()}))

    def _load(self) -> bool:
        """Adds what another process has computed meanwhile; whether the file was read anew."""
        if self._cache is None:
            return False
        try:
            changed = self._cache.stat().st_mtime_ns
            if changed == self._loaded:
                return False
            found = {path: _Entry(**entry) for path, entry in json.loads(self._cache.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError):  # missing or damaged: computed again
            return False
        self._loaded = changed
        for path, entry in found.items():
            own = self._entries.get(path)
            if own is None or own.used < entry.used:  # the own one may be of an earlier version of the file
                self._entries[path] = entry
        return True
