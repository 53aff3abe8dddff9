"""Turns failures of the file system into studio errors with a message for the user."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moc_engine.disk_errors import FULL
from studio.domain.errors import OutputFailed
from studio.domain.messages import Message, message


@contextmanager
def os_errors_as_studio_errors(target: Path) -> Iterator[None]:
    """Raises `OutputFailed` for an `OSError` of the file system; the message names `target`.

    A file elsewhere that caused the error is named instead. Errors that are not about files, such as a lost
    connection or a library that does not load, pass through.
    """
    try:
        yield
    except (ConnectionError, TimeoutError, ChildProcessError):
        raise
    except OSError as error:
        if error.errno is None:
            raise
        raise OutputFailed(_message(error, target)) from error


def disk_full(path: Path) -> Message:
    return message("disk-full", path=str(path))


def _message(error: OSError, target: Path) -> Message:
    path = _culprit(error, target)
    match error.errno:
        case number if number in FULL:
            return disk_full(path)
        case errno.EFBIG:
            return message("file-too-large", path=str(path))
        case errno.EACCES | errno.EPERM:
            return message("permission-denied", path=str(path))
        case errno.EROFS:
            return message("read-only", path=str(path))
        case errno.ENOTDIR | errno.EEXIST:
            return message("file-in-the-way", path=str(path))
        case errno.ENOENT if path != target:
            return message("path-missing", path=str(path))
        case _:
            return message("path-failed", path=str(path), cause=error.strerror or str(error))


def _culprit(error: OSError, target: Path) -> Path:
    """The file that the error is about where it lies outside of `target`; else `target`."""
    if not isinstance(error.filename, str):
        return target
    path = Path(error.filename)
    inside = path.is_relative_to(target) or path.parent == target.parent or target.is_relative_to(path)
    return target if inside else path
