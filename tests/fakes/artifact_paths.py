"""Where the files of artifacts lie, for tests that look at them or damage them."""

from __future__ import annotations

from pathlib import Path

from moc_engine.stored_file import StoredFile
from studio.store.artifacts import Artifacts


def path_of(file: StoredFile) -> Path:
    """The path of a file that is stored in a folder."""
    with file.local() as path:
        return path


def artifact_path(artifacts: Artifacts, digest: str, suffix: str) -> Path:
    """The path of an artifact in the studio's folder."""
    return path_of(artifacts.file(digest, suffix))
