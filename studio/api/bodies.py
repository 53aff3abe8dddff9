"""Bodies of requests that are files: read in pieces, within stated limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from anyio import CancelScope
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from studio.domain.errors import WrongUse
from studio.domain.messages import message
from studio.service.project_files import ProjectFiles

MOST_TEXT: Final = 2**20
"""Bytes of a storyboard."""

_PIECE: Final = 2**20
"""Bytes that are written at once."""


async def storyboard_text(request: Request) -> str:
    """The body as text. Raises `WrongUse` if it is too long or not UTF-8."""
    body = bytearray()
    async for chunk in request.stream():
        body.extend(chunk)
        if len(body) > MOST_TEXT:
            raise WrongUse(message("storyboard-too-large", most=MOST_TEXT / 2**20))
    if body.startswith(b"PK\x03\x04"):
        raise WrongUse(message("storyboard-is-zip"))
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise WrongUse(message("storyboard-not-utf8")) from error


@asynccontextmanager
async def uploaded_file(request: Request, files: ProjectFiles) -> AsyncIterator[Path]:
    """The body as a file in the studio's scratch folder, removed afterwards; all disk access is in threads.

    Raises as `ProjectFiles.receive` does, and `ClientDisconnect`.
    """
    upload = await run_in_threadpool(files.receive, _declared_size(request))
    try:
        piece = bytearray()
        async for chunk in request.stream():
            piece.extend(chunk)
            if len(piece) >= _PIECE:
                await run_in_threadpool(upload.write, bytes(piece))
                piece.clear()
        await run_in_threadpool(upload.write, bytes(piece))
        yield await run_in_threadpool(upload.finish)
    finally:
        with CancelScope(shield=True):
            await run_in_threadpool(upload.discard)


def _declared_size(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
