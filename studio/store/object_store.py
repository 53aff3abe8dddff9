"""An object store, such as S3, as few calls that are repeated where they fail, with one kind of error.

Objects are put whole or not at all: one request stores an object, or several do whose last one makes it
appear. Times are the store's own.
"""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from studio.domain.errors import StoreFailed
from studio.domain.messages import message

T = TypeVar("T")

PART_BYTES: Final = 16 * 2**20
"""Of the parts in which a large object is uploaded: one from twice this size on."""

PAUSES: Final = (0.1, 0.3, 1.0, 3.0)
"""Seconds between the tries of a call that fails, each drawn from half to one and a half of it."""

_CLOCK: Final = ".clock"
_TIMES: Final = ("LastModified", "mtime", "updated", "last_modified", "created")
_FINAL: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What does not become better by trying again."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object by its key; `etag` is the store's checksum of it, "" where it tells none."""

    key: str
    bytes: int
    stored: float
    etag: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload in several parts that was begun at a time and has not ended."""

    key: str
    id: str
    began: float


class ObjectStore:
    """The objects under a prefix such as "bucket/studio" of one of fsspec's file systems.

    Methods raise `FileNotFoundError` where there is no object of a key, and `StoreFailed` where the store
    does not answer or refuses.
    """

    def __init__(self, files: Any, prefix: str, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self._files = files
        self._prefix = prefix.strip("/")
        self._pauses = pauses

    def __str__(self) -> str:
        return str(self._files.unstrip_protocol(self._prefix))

    def url(self, key: str) -> str:
        """The address of an object, for messages."""
        return f"{self}/{key}"

    def check(self) -> None:
        """Raises `StoreFailed` where the store does not answer, or has no such bucket."""
        bucket = self._prefix.partition("/")[0]
        if not self._tried(self._files.exists, bucket, about=str(self)):
            raise StoreFailed(message("store-without-bucket", url=str(self), bucket=bucket))

    def info(self, key: str) -> StoredObject:
        found = self._tried(self._files.info, self._path(key), about=self.url(key))
        if found["type"] != "file":
            raise _missing(self.url(key))
        return self._object(found)

    def read(self, key: str, first: int, end: int) -> bytes:
        """The bytes of an object from one position up to another one, which it has."""

        def read() -> bytes:
            data = bytes(self._files.cat_file(self._path(key), start=first, end=end))
            if len(data) != end - first:
                raise OSError("the answer was cut off")
            return data

        return self._tried(read, about=self.url(key)) if first < end else b""

    def download(self, key: str, target: Path) -> None:
        """Writes an object to a file. It may be cut or damaged: the caller knows what it should be."""
        self._tried(self._files.get_file, self._path(key), str(target), about=self.url(key))

    def upload(self, file: Path, key: str) -> None:
        """Stores a file whole under a key, in place of what was there."""
        parts = {"chunksize": PART_BYTES} if self._is_s3 else {}
        self._tried(self._files.put_file, str(file), self._path(key), about=self.url(key), **parts)

    def write(self, key: str, content: bytes) -> None:
        """Stores a small object."""
        self._tried(self._files.pipe_file, self._path(key), content, about=self.url(key))

    def remove(self, key: str) -> None:
        """Removes an object, if it is there."""
        self._tried(self._files.rm_file, self._path(key), about=self.url(key))

    def objects(self) -> Iterator[StoredObject]:
        """All objects under the prefix, sorted by key."""
        found = self._tried(self._files.find, self._prefix, detail=True, about=str(self))
        for _, info in sorted(found.items()):
            yield self._object(info)

    def folders(self) -> list[str]:
        """The first parts of all keys: "9f" of "9f/9f2c….mp4"."""
        try:
            found = self._tried(self._files.ls, self._prefix, detail=False, about=str(self))
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def time(self) -> float:
        """The present time by the store's clock, to the second at least: that of an object stored now."""
        self.write(_CLOCK, b"now")
        return self.info(_CLOCK).stored

    def uploads(self) -> list[Upload]:
        """The uploads under the prefix that have not ended; none where the store does not list them."""
        if not self._is_s3:
            return []
        bucket = self._prefix.partition("/")[0]
        try:
            found = self._tried(self._files.list_multipart_uploads, bucket, about=str(self))
        except StoreFailed:  # some stores know no such list, or do not permit it
            return []
        inside = self._path("").partition("/")[2]
        return [
            Upload(
                key=str(upload["Key"]).removeprefix(inside),
                id=str(upload["UploadId"]),
                began=_seconds(upload["Initiated"]),
            )
            for upload in found
            if str(upload["Key"]).startswith(inside)
        ]

    def abort(self, upload: Upload) -> None:
        """Ends an upload; what was stored of it is removed. It may have ended before."""
        bucket, _, key = self._path(upload.key).partition("/")
        with suppress(FileNotFoundError):
            self._tried(self._files.abort_mpu, bucket, key, upload.id, about=self.url(upload.key))

    @property
    def _is_s3(self) -> bool:
        return "s3" in self._files.protocol

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}"

    def _object(self, info: dict[str, Any]) -> StoredObject:
        path = str(info["name"]).strip("/")
        stored = next((info[name] for name in _TIMES if info.get(name) is not None), None)
        if stored is None:
            stored = self._tried(self._files.modified, path, about=path)
        return StoredObject(
            key=path.removeprefix(f"{self._prefix}/"),
            bytes=int(info["size"]),
            stored=_seconds(stored),
            etag=str(info.get("ETag") or "").strip('"'),
        )

    def _tried(self, call: Callable[..., T], *arguments: Any, about: str, **options: Any) -> T:
        """The result of a call of the file system, which is repeated where it fails."""
        for pause in (*self._pauses, None):
            try:
                return call(*arguments, **options)
            except _FINAL as error:
                if isinstance(error, FileNotFoundError):
                    raise _missing(about) from error
                raise self._failed(error, about) from error
            except Exception as error:  # of the store's own library, which is not ours to know
                if pause is None:
                    raise self._failed(error, about) from error
                time.sleep(pause * random.uniform(0.5, 1.5))
        raise AssertionError("the last try returns or raises")

    def _failed(self, error: Exception, about: str) -> StoreFailed:
        return StoreFailed(message("store-failed", url=about, cause=str(error) or type(error).__name__))


def _missing(url: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)


def _seconds(moment: Any) -> float:
    """A time as stores tell it, in seconds since 1970."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)
