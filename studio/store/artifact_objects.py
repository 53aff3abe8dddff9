"""Artifacts in object storage, with copies of bounded size on this machine.

An object appears when its upload is whole. It is checked then by the store's checksum, or by reading it back
where the store tells none that is known. What is removed is decided by the store's clock and, in the moment
itself, by the database (`artifact_rows`).
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from moc_engine.files import ABANDONED_AFTER
from studio.domain.errors import StoreFailed
from studio.domain.messages import message
from studio.store.artifact_cache import ArtifactCache
from studio.store.artifacts import OWNER, YOUNG, Artifact, Artifacts, Leftover, Orphan, key_of
from studio.store.object_store import PART_BYTES, ObjectStore, Upload
from studio.store.ranged_stream import RangedStream

_KEY: Final = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}\.\w{1,16}")
_TRIES: Final = 3
"""How often an object is stored or fetched that comes out otherwise than it should be."""


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact in object storage; the same URL is the same content. `size` is None where unknown."""

    url: str
    key: str = field(compare=False)
    size: int | None = field(compare=False)
    objects: ArtifactObjects = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def digest(self) -> str:
        return PurePosixPath(self.key).stem

    def open(self) -> BinaryIO:
        """A stream of the copy on this machine if there is one; else of ranges of the object."""
        return self.objects.opened(self.key, self.size)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A copy on this machine whose content was checked."""
        with self.objects.copy_of(self.key, self.size) as path:
            yield path


class ArtifactObjects(Artifacts):
    """Artifacts in an object store."""

    def __init__(self, store: ObjectStore, cache: ArtifactCache) -> None:
        self.home = str(store)
        self._store = store
        self._cache = cache

    def __str__(self) -> str:
        return self.home

    def put(self, file: Path) -> Artifact:
        content = _content(file)
        key = key_of(content.digest, file.suffix)
        for _ in range(_TRIES):
            if self._is_whole(key, content):
                break
            self._store.upload(file, key)
        else:
            if not self._is_whole(key, content):
                self._store.remove(key)
                raise StoreFailed(message("store-damages", url=self._store.url(key)))
        self._cache.add(key, file)
        return Artifact(digest=content.digest, suffix=file.suffix, bytes=content.bytes)

    def file(self, digest: str, suffix: str) -> StoredArtifact:
        return self._stored(key_of(digest, suffix), None)

    def found(self, digest: str, suffix: str) -> StoredArtifact | None:
        size = self.size(digest, suffix)
        return None if size is None else self._stored(key_of(digest, suffix), size)

    def size(self, digest: str, suffix: str) -> int | None:
        try:
            return self._store.info(key_of(digest, suffix)).bytes
        except FileNotFoundError:
            return None

    def orphans(self, known: Collection[str]) -> Iterator[Orphan]:
        before = self._store.time() - YOUNG
        for found in self._store.objects():
            orphan = Orphan(
                key=found.key, location=self._store.url(found.key), bytes=found.bytes, before=before
            )
            if _KEY.fullmatch(found.key) and orphan.digest not in known and found.stored < before:
                yield orphan

    def remove(self, orphan: Orphan) -> bool:
        try:
            if self._store.info(orphan.key).stored >= orphan.before:
                return False
        except FileNotFoundError:
            return False
        self._store.remove(orphan.key)
        self._cache.remove(orphan.key)
        return True

    def owner(self) -> str | None:
        try:
            return self._store.read(OWNER, 0, self._store.info(OWNER).bytes).decode()
        except FileNotFoundError:
            return None

    def claim(self, studio: str) -> None:
        self._store.write(OWNER, studio.encode())

    def is_empty(self) -> bool:
        return not any(re.fullmatch(r"[0-9a-f]{2}", folder) for folder in self._store.folders())

    def abandoned(self) -> list[Leftover]:
        """Uploads that were begun long ago."""
        return [Leftover(location=self._store.url(upload.key), bytes=0) for upload in self._abandoned()]

    def remove_abandoned(self) -> None:
        for upload in self._abandoned():
            self._store.abort(upload)
        self._cache.remove_abandoned()

    def opened(self, key: str, size: int | None) -> BinaryIO:
        """A stream of an object that can seek."""
        stream = self._cache.open(key)
        if stream is not None:
            return stream
        if size is None:
            size = self._store.info(key).bytes
        ranges = RangedStream(lambda first, end: self._store.read(key, first, end), size)
        return io.BufferedReader(ranges)

    @contextmanager
    def copy_of(self, key: str, size: int | None) -> Iterator[Path]:
        """A checked copy of an object on this machine, within the context."""
        if size is None:
            size = self._store.info(key).bytes
        with self._cache.held(key, size, lambda target: self._fetch(key, target)) as path:
            yield path

    def _fetch(self, key: str, target: Path) -> None:
        digest = Path(key).stem
        for _ in range(_TRIES):
            self._store.download(key, target)
            with target.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == digest:
                    return
        raise StoreFailed(message("store-damages", url=self._store.url(key)))

    def _stored(self, key: str, size: int | None) -> StoredArtifact:
        return StoredArtifact(url=self._store.url(key), key=key, size=size, objects=self)

    def _is_whole(self, key: str, content: _Content) -> bool:
        """Whether an object is there and has this content."""
        try:
            found = self._store.info(key)
            if found.bytes != content.bytes:
                return False
            return found.etag in content.etags or self._digest(key, found.bytes) == content.digest
        except FileNotFoundError:
            return False

    def _digest(self, key: str, size: int) -> str:
        """The SHA-256 of an object, read back."""
        digest = hashlib.sha256()
        for first in range(0, size, PART_BYTES):
            digest.update(self._store.read(key, first, min(first + PART_BYTES, size)))
        return digest.hexdigest()

    def _abandoned(self) -> list[Upload]:
        uploads = [upload for upload in self._store.uploads() if _KEY.fullmatch(upload.key)]
        if not uploads:
            return []
        before = self._store.time() - ABANDONED_AFTER
        return [upload for upload in uploads if upload.began < before]


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What a file holds, and the checksums that S3 tells of it: stored at once, and in parts."""

    digest: str
    bytes: int
    etags: frozenset[str]


def _content(file: Path) -> _Content:
    digest, whole, parts, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), [], 0
    with file.open("rb") as stream:
        while piece := stream.read(PART_BYTES):
            digest.update(piece)
            whole.update(piece)
            parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
            size += len(piece)
    of_parts = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    etags = frozenset({whole.hexdigest(), f"{of_parts}-{len(parts)}"})
    return _Content(digest=digest.hexdigest(), bytes=size, etags=etags)
