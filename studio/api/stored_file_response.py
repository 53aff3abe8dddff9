"""The response that sends a stored file, or the range of it that is asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from fastapi.concurrency import iterate_in_threadpool, run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from moc_engine.stored_file import StoredFile
from studio.domain.errors import NotThere
from studio.domain.messages import message

_PIECE: Final = 2**18
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class StoredFileResponse(StreamingResponse):
    """Sends a file from wherever it is stored, without more of it being read than is asked for.

    `digest` names its content, if it is known: a browser that has it is told so, and nothing is sent.
    Several ranges in one request are answered by the whole file.
    """

    def __init__(
        self, file: StoredFile, *, media_type: str, headers: Mapping[str, str], digest: str | None = None
    ) -> None:
        super().__init__(iter(()), media_type=media_type, headers=headers)
        self.headers["accept-ranges"] = "bytes"
        self._file = file
        self._etag = None if digest is None else f'"{digest}"'
        if self._etag is not None:
            self.headers["etag"] = self._etag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `NotThere` where the file is missing."""
        asked = Headers(scope=scope)
        if self._etag is not None and _names(asked.get("if-none-match"), self._etag):
            self.status_code = 304
            await super().__call__(scope, receive, send)
            return
        try:
            stream = await run_in_threadpool(self._file.open)
        except FileNotFoundError as error:
            raise NotThere(message("file-not-found")) from error
        try:
            first, end = self._choose(asked, await run_in_threadpool(stream.seek, 0, os.SEEK_END))
            if scope["method"] != "HEAD":
                self.body_iterator = iterate_in_threadpool(_pieces(stream, first, end))
            await super().__call__(scope, receive, send)
        finally:
            await run_in_threadpool(stream.close)

    def _choose(self, asked: Headers, size: int) -> tuple[int, int]:
        """The range to send, by its first byte and its end; sets status and headers accordingly."""
        first, end = 0, size
        condition = asked.get("if-range")
        wanted = _range(asked.get("range", ""), size) if condition in (None, self._etag) else None
        if wanted is not None:
            first, end = wanted
            self.status_code = 206 if first < end else 416
            place = f"{first}-{end - 1}" if first < end else "*"
            self.headers["content-range"] = f"bytes {place}/{size}"
        self.headers["content-length"] = str(end - first)
        return first, end


def _range(text: str, size: int) -> tuple[int, int] | None:
    """The one range of a header, empty where the file has nothing of it; None for anything else."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        last = min(int(match[2]), size)
        return size - last, size
    first, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < first:
        return None
    return (first, end) if first < size else (size, size)


def _names(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names the file."""
    tags = [] if header is None else [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or tags == ["*"]


def _pieces(stream: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    stream.seek(first)
    while first < end:
        piece = stream.read(min(_PIECE, end - first))
        if not piece:
            raise EOFError(f"the file ends at byte {first} instead of {end}")
        first += len(piece)
        yield piece
