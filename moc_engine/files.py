"""Files that appear together and whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def whole_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Places to write to, of the same suffixes; they become `paths` if the block ends well.

    Folders that are missing are made, and are taken away again if nothing came of it.
    """
    with ExitStack() as cleaning:
        for folder in dict.fromkeys(path.parent for path in paths):
            _make_folder(folder, cleaning)
        parts = tuple(path.with_name(f".part-{os.getpid()}-{path.name}") for path in paths)
        for part in parts:
            cleaning.callback(part.unlink, missing_ok=True)
        yield parts
        for part in parts:
            _flush(part)
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
        for folder in dict.fromkeys(path.parent for path in paths):
            _flush(folder)


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
