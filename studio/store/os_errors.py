"""Turns failures of the file system into studio errors with a message for the user."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.domain.errors import OutputFailed

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


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


def disk_full_message(path: Path) -> str:
    return f"the disk is full: free some space for {path}, then try again"


def _message(error: OSError, target: Path) -> str:
    path = _culprit(error, target)
    match error.errno:
        case number if number in _FULL:
            return disk_full_message(path)
        case errno.EFBIG:
            return f"{path} cannot be written: a file would be larger than is allowed here"
        case errno.EACCES | errno.EPERM:
            return f"{path} cannot be written: permission denied"
        case errno.EROFS:
            return f"{path} cannot be written: the file system is read-only"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{path} cannot be a folder: a file is in the way"
        case errno.ENOENT if path != target:
            return f"{path} is missing"
        case _:
            return f"{path} cannot be read or written: {error.strerror}"


def _culprit(error: OSError, target: Path) -> Path:
    """The file that the error is about where it lies outside of `target`; else `target`."""
    if not isinstance(error.filename, str):
        return target
    path = Path(error.filename)
    inside = path.is_relative_to(target) or path.parent == target.parent or target.is_relative_to(path)
    return target if inside else path
