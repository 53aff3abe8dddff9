"""Files and folders that are there whole or not at all, whenever a run is killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` once the block is done."""
    fresh = path.with_name(path.name + ".new")
    if fresh.is_dir():
        shutil.rmtree(fresh)
    yield fresh
    if fresh.is_dir():
        if path.exists():
            old = path.with_name(path.name + ".old")
            if old.exists():
                shutil.rmtree(old)
            path.rename(old)
            fresh.rename(path)
            shutil.rmtree(old)
        else:
            fresh.rename(path)
    else:
        fresh.replace(path)
