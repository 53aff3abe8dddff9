"""Artifacts that are read as from object storage: by streams, or as copies that last as long as needed."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from moc_engine.stored_file import StoredFile
from studio.store.artifacts import Artifacts
from tests.fakes.artifact_paths import path_of


@dataclass(frozen=True)
class RemoteFile:
    """A file whose local path is a copy that is gone after the context."""

    source: Path

    def __str__(self) -> str:
        return f"remote://{self.source.name}"

    def open(self) -> BinaryIO:
        return io.BytesIO(self.source.read_bytes())

    @contextmanager
    def local(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / self.source.name
            copy.write_bytes(self.source.read_bytes())
            yield copy


class RemoteArtifacts(Artifacts):
    """Artifacts that give no lasting path to their files."""

    def file(self, digest: str, suffix: str) -> StoredFile:
        return RemoteFile(path_of(super().file(digest, suffix)))
