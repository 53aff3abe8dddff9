"""Files that are there whole or not at all: written beside their place, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.errors import OutputFailed

_PART = ".part-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, of the same suffix; becomes `path` if the block ends well."""
    part = path.with_name(f"{_PART}{os.getpid()}-{path.name}")
    try:
        yield part
        _flush(part)
        part.replace(path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`; takes its place, and that of an older one, if the block ends well."""
    part = path.with_name(f"{_PART}{os.getpid()}-{path.name}")
    old = path.with_name(f"{_PART}{os.getpid()}-old-{path.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        for file in (*part.iterdir(), part):
            _flush(file)
        if path.exists():
            path.rename(old)
        part.rename(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes the whole text or nothing."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written in `folder`."""
    for part in folder.glob(f"{_PART}*"):
        owner = part.name.removeprefix(_PART).split("-")[0]
        if owner.isdigit() and int(owner) != os.getpid() and _alive(int(owner)):
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


@contextmanager
def told_plainly(place: Path) -> Iterator[None]:
    """Failures of the file system inside become an `OutputFailed` that names `place`."""
    try:
        yield
    except OSError as error:
        raise OutputFailed(_plain_words(error, place)) from error


def _plain_words(error: OSError, place: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"the disk is full: free some space for {place}, then run again with --resume"
        case errno.EACCES | errno.EPERM:
            return f"{place} cannot be written: permission denied"
        case errno.EROFS:
            return f"{place} cannot be written: the file system is read-only"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{place} cannot be a folder: a file is in the way"
        case _:
            return f"{error.filename or place}: {error.strerror or error}"


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
