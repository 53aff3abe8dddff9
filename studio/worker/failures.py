"""Why a job failed, in one line for people: the file and the cause, without guessing at either."""

from __future__ import annotations

import os
from pathlib import Path

from moc_engine.disk_errors import is_disk_full
from moc_engine.errors import EngineError
from studio.domain.errors import StudioError
from studio.domain.messages import Message, message
from studio.store.os_errors import disk_full


def is_expected(error: Exception) -> bool:
    """Whether the error was raised for people to read: its message says enough without a traceback."""
    return isinstance(error, StudioError | EngineError | MemoryError)


def explain(error: Exception, folder: Path) -> Message:
    """The message for a job that failed while it wrote its files into `folder`."""
    match error:
        case StudioError():
            return error.message
        case EngineError():
            return message("text", text=str(error))
        case MemoryError():
            return message("job-out-of-memory")
        case ConnectionError() | TimeoutError():
            return message("job-network-failed", cause=str(error))
        case OSError(errno=int()):
            return _about_file(error, folder)
        case _:
            return message("job-unexpected", type=type(error).__name__, text=str(error))


def _about_file(error: OSError, folder: Path) -> Message:
    path = (
        Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else None
    )
    cause = (error.strerror or str(error)).lower()
    own = path is not None and path.is_relative_to(folder)
    if is_disk_full(error):
        return disk_full(folder if path is None or own else path)
    if path is None:
        return message("job-disk-file-failed", cause=cause)
    if own:
        return message("path-unwritable", path=str(folder), cause=cause)
    return message("path-failed", path=str(path), cause=cause)
