"""Where artifacts are stored, a folder or S3, as tests see it: what is there, and what befalls it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from studio.store.artifact_place import FOLDER, artifacts_at
from studio.store.artifacts import Artifacts
from tests.fakes.s3 import S3


class Store(Protocol):
    """A place for artifacts; `place` is what `--artifacts` names, None for the studio's folder."""

    @property
    def place(self) -> str | None: ...

    def opened(self) -> Artifacts:
        """The artifacts there, as another process would open them."""

    def contents(self) -> dict[str, bytes]:
        """What is there, by key."""

    def change(self, key: str, content: bytes | None) -> None:
        """Damages a file, or removes it where None."""

    def age(self) -> None:
        """Makes all files old."""


class FolderStore:
    """The folder of a studio."""

    place: str | None = None

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = root / FOLDER

    def opened(self) -> Artifacts:
        return artifacts_at(self._root)

    def contents(self) -> dict[str, bytes]:
        files = sorted(file for file in self.folder.rglob("*/*") if file.is_file())
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in files}

    def change(self, key: str, content: bytes | None) -> None:
        file = self.folder / key
        if content is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def age(self) -> None:
        for file in self.folder.rglob("*"):
            os.utime(file, (0, 0))


class S3Store:
    """A bucket of its own; `root` holds the copies."""

    def __init__(self, root: Path, s3: S3) -> None:
        self._root = root
        self.s3 = s3
        self.place: str = s3.new_place()

    def opened(self) -> Artifacts:
        return artifacts_at(self._root, self.place)

    def contents(self) -> dict[str, bytes]:
        return self.s3.objects(self.place)

    def change(self, key: str, content: bytes | None) -> None:
        self.s3.change(self.place, key, content)

    def age(self) -> None:
        self.s3.age(self.place)
