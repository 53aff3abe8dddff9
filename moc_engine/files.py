"""Files that appear whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

_PART: Final = ".part-"


@contextmanager
def whole_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Places to write to, of the same suffixes; they become `paths` if the block ends well.

    Folders that are missing are made, and are taken away again if nothing came of it.
    """
    with ExitStack() as cleaning:
        for folder in dict.fromkeys(path.parent for path in paths):
            _make_folder(folder, cleaning)
        parts = tuple(_beside(path) for path in paths)
        for part in parts:
            cleaning.callback(part.unlink, missing_ok=True)
        yield parts
        for part in parts:
            _flush(part)
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
        for folder in dict.fromkeys(path.parent for path in paths):
            _flush(folder)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write to; if the block ends well, its files become those of `path`.

    Where there is such a folder already, they take their places there one after the other: a process
    killed in between leaves some old and some new ones, but never a file that is missing or torn.
    """
    part = _beside(path)
    part.mkdir(parents=True)
    try:
        yield part
        files = [file for file in part.rglob("*") if file.is_file()]
        for file in files:
            _flush(file)
        if path.exists():
            for file in files:
                place = path / file.relative_to(part)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.replace(place)
        else:
            part.rename(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written in `folder`, which nobody may be writing to."""
    for part in folder.glob(f"{_PART}*"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{_PART}{os.getpid()}-{path.name}")


def _make_folder(folder: Path, cleaning: ExitStack) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in reversed(missing):
        cleaning.callback(_remove_if_empty, place)


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
