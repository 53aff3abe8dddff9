"""The response that sends a stored file, or the range of it that is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from moc_engine.stored_file import StoredFile


class StoredFileResponse(FileResponse):
    """Sends a file from a path that is valid while it is sent."""

    def __init__(self, file: StoredFile, *, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__("", media_type=media_type, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextmanager_in_threadpool(self._file.local()) as path:
            self.path = path
            await super().__call__(scope, receive, send)
