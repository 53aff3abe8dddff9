"""Files that are there whole or not at all: written beside their place, flushed, then renamed.

Process PID writes NAME as `.part-PID-NAME`, and moves a folder that it replaces to `.old-PID-NAME`
until the new one is in place.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from studio.domain.errors import OutputFailed

_LEFT_BEHIND = re.compile(r"\.(part|old)-(\d+)-(.+)", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, of the same suffix; becomes `path` if the block ends well."""
    part = _beside(path, "part")
    try:
        yield part
        _flush(part)
        part.replace(path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`; takes its place, and that of an older one, if the block ends well.

    Folders above it that are missing are made, and taken away again if nothing came of it.
    """
    part = _beside(path, "part")
    missing = [folder for folder in path.parents if not folder.exists()]
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        for file in (*part.iterdir(), part):
            _flush(file)
        replace_folder(path, part)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):  # the first that is not empty ends it
            for folder in missing:
                folder.rmdir()


def replace_folder(path: Path, new: Path) -> None:
    """Moves `new` to `path`; a folder that is there already goes only once that has worked."""
    if not path.exists():
        new.rename(path)
        return
    old = _beside(path, "old")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes the whole text or nothing."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written in `folder`, and puts back what they took away."""
    if not folder.is_dir():
        return
    for left in list(folder.iterdir()):
        match = _LEFT_BEHIND.fullmatch(left.name)
        if match is None or (int(match[2]) != os.getpid() and _alive(int(match[2]))):
            continue
        target = left.with_name(match[3])
        if match[1] == "old" and not target.exists():
            left.rename(target)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def slug(title: str) -> str:
    """A title as a file name, in its own script: "The Red Kite!" -> "the-red-kite"."""
    lower = unicodedata.normalize("NFKC", title).lower()
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" else "-" for letter in lower)
    short = re.sub("-+", "-", kept).strip("-")[:80].encode()[:160].decode(errors="ignore").rstrip("-")
    return short or f"film-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


@contextmanager
def told_plainly(place: Path) -> Iterator[None]:
    """Failures of the file system inside become an `OutputFailed` that names `place`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a library that does not load, and no matter of files
            raise
        raise OutputFailed(_plain_words(error, place)) from error


def full(place: Path) -> str:
    """What is said where there is no room left."""
    return f"the disk is full: free some space for {place}, then try again"


def _plain_words(error: OSError, place: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return full(place)
        case errno.EFBIG:
            return f"{place} cannot be written: a file would be larger than is allowed here"
        case errno.EACCES | errno.EPERM:
            return f"{place} cannot be written: permission denied"
        case errno.EROFS:
            return f"{place} cannot be written: the file system is read-only"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{place} cannot be a folder: a file is in the way"
        case _:
            return f"{place} cannot be written: {error.strerror}"


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{kind}-{os.getpid()}-{path.name}")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
