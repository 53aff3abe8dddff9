"""Atomic writes: a file or folder appears whole at its path, or not at all.

The content is written under a temporary name in the target's folder, flushed to the disk and renamed.
Temporary names are random, so any number of threads and processes may write the same path: each publishes a
whole file, and the last one stays. They also name the writing process, so that `remove_abandoned` can tell
what a killed process left from what is being written now:

    .part-HOST-PID-STARTED-RANDOM.mp4
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

from moc_engine.processes import is_running, mark

ABANDONED_AFTER: Final = 24 * 3600.0
"""Seconds after which a temporary file is abandoned if its writer cannot be asked for: another machine's."""

_PREFIX: Final = ".part-"
_TEMPORARY: Final = re.compile(r"\.part-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{16}(\.\w+)?")
_BY_VERSION_0_1: Final = re.compile(r"\.part-\d+-.+", re.DOTALL)
_WINDOWS: Final = os.name == "nt"
_RENAME_RETRIES: Final = 40
_RENAME_PAUSE: Final = 0.05


@contextmanager
def atomic_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yields one temporary path per target, of the same suffix; they become `paths` if the block succeeds.

    Missing folders are created, and removed again if the block fails.
    """
    with ExitStack() as cleanup:
        for folder in dict.fromkeys(path.parent for path in paths):
            create_folder(folder, cleanup)
        parts = tuple(temporary_path(path) for path in paths)
        for part in parts:
            cleanup.callback(part.unlink, missing_ok=True)
        yield parts
        for part in parts:
            _flush_file(part)
        for part, path in zip(parts, paths, strict=True):
            _replace(part, path)
        for folder in dict.fromkeys(path.parent for path in paths):
            _flush_folder(folder)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, of the same suffix; it becomes `path` if the block succeeds."""
    with atomic_files(path) as (part,):
        yield part


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder; its files become those of `path` if the block succeeds.

    If `path` exists already, the files replace its files one by one: a process killed in between leaves some
    old and some new ones, but none missing or cut. Missing folders above it are created, and removed again if
    the block fails.
    """
    with ExitStack() as cleanup:
        create_folder(path.parent, cleanup)
        part = temporary_path(path)
        part.mkdir()
        cleanup.callback(shutil.rmtree, part, ignore_errors=True)
        yield part
        files = [file for file in part.rglob("*") if file.is_file()]
        for file in files:
            _flush_file(file)
        if not _rename_folder(part, path):
            for file in files:
                target = path / file.relative_to(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                _replace(file, target)
        _flush_folder(path.parent)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yields an empty folder under `parent` that is removed afterwards, or by `remove_abandoned`."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = temporary_path(parent / "scratch")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8 and with the line ends that `text` has."""
    with atomic_file(path) as part:
        part.write_bytes(text.encode())


def temporary_path(path: Path) -> Path:
    """A new name beside `path`, of the same suffix, that tells which process writes there."""
    suffix = path.suffix if re.fullmatch(r"\.\w{1,16}", path.suffix) else ""
    pid, started = _this_process(os.getpid())
    return path.with_name(f"{_PREFIX}{_host()}-{pid}-{started}-{secrets.token_hex(8)}{suffix}")


def abandoned(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder` whose writers have ended. It need not exist."""
    return [part for part in listed(folder) if _is_abandoned(part)]


def listed(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where there is none, or none any more."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def in_progress(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder` whose writers are running. It need not exist."""
    return [part for part in listed(folder) if _TEMPORARY.fullmatch(part.name) and not _is_abandoned(part)]


def writer_of(part: Path) -> int | None:
    """The process that a temporary file or folder names; None where it is another machine's."""
    match = _TEMPORARY.fullmatch(part.name)
    return int(match[2]) if match is not None and match[1] == _host() else None


def remove_abandoned(folder: Path) -> None:
    """Removes what `abandoned` lists."""
    for part in abandoned(folder):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _is_abandoned(part: Path) -> bool:
    match = _TEMPORARY.fullmatch(part.name)
    if match is not None and match[1] == _host():
        return not is_running(int(match[2]), int(match[3]))
    if match is None and not _BY_VERSION_0_1.fullmatch(part.name):
        return False
    try:
        return time.time() - _last_change(part) > ABANDONED_AFTER
    except FileNotFoundError:  # finished or removed meanwhile
        return False


def _last_change(part: Path) -> float:
    """When anything in a file or folder was written last."""
    inside = part.rglob("*") if part.is_dir() and not part.is_symlink() else ()
    times: list[float] = [path.lstat().st_mtime for path in (part, *inside)]
    return max(times)


@cache
def _this_process(pid: int) -> tuple[int, int]:
    """This process's number and start, asked anew after a fork."""
    return pid, round(mark(pid).started)


@cache
def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _replace(part: Path, path: Path) -> None:
    """Renames over `path`. Windows refuses that while another process opens or replaces it."""
    for attempt in range(_RENAME_RETRIES):
        try:
            part.replace(path)
            return
        except PermissionError:
            if not _WINDOWS or path.is_dir() or attempt == _RENAME_RETRIES - 1:
                raise
            time.sleep(_RENAME_PAUSE)


def _rename_folder(part: Path, path: Path) -> bool:
    """Renames a folder if there is none at `path`; whether it did."""
    if path.exists():
        return False
    try:
        part.rename(path)
    except OSError:
        if path.is_dir():  # another writer was faster
            return False
        raise
    return True


def create_folder(folder: Path, cleanup: ExitStack) -> None:
    """Makes a folder and those above it; with the stack, those that are still empty are removed again."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        cleanup.callback(_remove_if_empty, path)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty, or gone
        folder.rmdir()


def _flush_file(path: Path) -> None:
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(path: Path) -> None:
    if _WINDOWS:  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
