"""Why a job failed, in one line for people: the file and the cause, without guessing at either."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from moc_engine.errors import EngineError
from studio.domain.errors import StudioError
from studio.store.os_errors import disk_full

OUT_OF_MEMORY: Final = (
    "this machine ran out of memory: close other programs, choose a smaller size, or shorten the shot"
)
_DISK_FULL: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quotas
_LOG: Final = "see logs/worker.log"


def is_expected(error: Exception) -> bool:
    """Whether the error was raised for people to read: its message says enough without a traceback."""
    return isinstance(error, StudioError | EngineError | MemoryError)


def explain(error: Exception, folder: Path) -> str:
    """The message for a job that failed while it wrote its files into `folder`."""
    match error:
        case StudioError() | EngineError():
            return str(error)
        case MemoryError():
            return OUT_OF_MEMORY
        case ConnectionError() | TimeoutError():
            return f"the network failed ({error}); {_LOG}"
        case OSError(errno=int()):
            return _about_file(error, folder)
        case _:
            return f"something unexpected happened ({type(error).__name__}: {error}); {_LOG}"


def _about_file(error: OSError, folder: Path) -> str:
    path = (
        Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else None
    )
    cause = (error.strerror or str(error)).lower()
    own = path is not None and path.is_relative_to(folder)
    if error.errno in _DISK_FULL:
        return str(disk_full(folder if path is None or own else path))
    if path is None:
        return f"a file could not be read or written ({cause}); {_LOG}"
    if own:
        return f"{folder} cannot be written: {cause}"
    return f"{path} cannot be read or written: {cause}"
