"""The files of footage in a studio's folder: videos that were uploaded, and preview films.

ROOT/footage/ID/video.mov     uploaded; others stay where they are
ROOT/footage/ID/preview.mp4   small, at a constant rate, for the page and for finding cuts
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from moc_engine.stored_file import LocalFile, StoredFile
from studio.store.artifacts import YOUNG

_ID: Final = re.compile(r"[0-9a-f]{16}")
_PREVIEW: Final = "preview.mp4"


class FootageFiles:
    """The folder of a studio's footage."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "footage"

    def keep(self, footage: str, file: Path, suffix: str) -> None:
        """Moves an uploaded video to its place."""
        target = self.folder(footage) / f"video{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    def uploaded(self, footage: str) -> Path | None:
        """Where a video lies that was uploaded; None where there is none."""
        return next(iter(sorted(self.folder(footage).glob("video.*"))), None)

    def id_of(self, file: Path) -> str | None:
        """The footage whose uploaded video a path names; None for any other path."""
        folder = file.parent
        return folder.name if folder.parent == self._folder and _ID.fullmatch(folder.name) else None

    def preview(self, footage: str) -> Path:
        """Where the preview film is, or is to be."""
        return self.folder(footage) / _PREVIEW

    def preview_file(self, footage: str) -> StoredFile:
        return LocalFile(self.preview(footage))

    def folder(self, footage: str) -> Path:
        """Raises `ValueError` for what is no id."""
        if not _ID.fullmatch(footage):
            raise ValueError(f"footage: {footage!r} is no id")
        return self._folder / footage

    def remove(self, footage: str) -> None:
        """Removes all files of footage."""
        shutil.rmtree(self.folder(footage), ignore_errors=True)

    def unnamed(self, known: Collection[str]) -> list[Path]:
        """The folders of footage that is not among the `known`, and that are not young."""
        return [
            folder
            for folder in sorted(self._folder.glob("*"))
            if _ID.fullmatch(folder.name) and folder.name not in known and _age(folder) > YOUNG
        ]


def _age(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime
    return 0.0
