"""Artifacts: clips, latents, traces and thumbnails, each a file named by its content.

    9f/9f2c41….mp4

They lie in a folder (`artifact_folder`) or in object storage (`artifact_objects`). A file is whole before a
row names it (`artifact_rows`). A file that no row names is an orphan: of a take that was deleted, or of a
process that was killed between the two. Any number of processes, on any machines, may store and remove at the
same time.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from moc_engine.stored_file import StoredFile

YOUNG: Final = 3600.0
"""Seconds after it was stored for which a file without a row is kept: it may still get one."""

OWNER: Final = ".studio"
"""The file that tells whose the others are."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file by the SHA-256 of its content, with its suffix such as ".mp4" and its size."""

    digest: str
    suffix: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A stored file that no row names: its key such as "9f/9f2c….mp4", its path or URL, and its size.

    `before` is the time, by the clock of where it is stored, before which it must have been stored to be
    removed.
    """

    key: str
    location: str
    bytes: int
    before: float

    @property
    def digest(self) -> str:
        return PurePosixPath(self.key).stem


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file that a killed process left half-written: its path or URL, and its size as far as it is known."""

    location: str
    bytes: int


class ArtifactFile(StoredFile, Protocol):
    """An artifact to read."""

    @property
    def digest(self) -> str:
        """The SHA-256 of its content."""


class Artifacts(ABC):
    """Where a studio's artifacts are stored.

    Object storage that does not answer is told by `StoreFailed`, also where a method's `None` would say that
    a file is missing. `home` names the place among all: "" the studio's own folder.
    """

    home: str

    @abstractmethod
    def put(self, file: Path) -> Artifact:
        """Stores a copy of a file, if it is not there whole. When this returns, the copy stays, whole."""

    @abstractmethod
    def file(self, digest: str, suffix: str) -> ArtifactFile:
        """An artifact to read, whether it is there or not. Raises `ValueError` for what is no digest."""

    @abstractmethod
    def found(self, digest: str, suffix: str) -> ArtifactFile | None:
        """An artifact to read; None where it is missing."""

    @abstractmethod
    def size(self, digest: str, suffix: str) -> int | None:
        """The bytes of an artifact; None where it is missing. Symbolic links are not followed."""

    @abstractmethod
    def orphans(self, known: Collection[str]) -> Iterator[Orphan]:
        """Files whose digest is not among the `known` ones, and that were stored more than `YOUNG` ago."""

    @abstractmethod
    def remove(self, orphan: Orphan) -> bool:
        """Removes an orphan; returns whether it did. One that was stored again meanwhile stays.

        The caller holds it in the database (`artifact_rows.held_unnamed`), so that it gets no row.
        """

    @abstractmethod
    def owner(self) -> str | None:
        """The id of the studio that has its files here; None where none said so."""

    @abstractmethod
    def claim(self, studio: str) -> None:
        """Says that a studio has its files here, by its id."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing is stored."""

    @abstractmethod
    def abandoned(self) -> list[Leftover]:
        """What killed processes left half-written, as far as it can be told from here."""

    @abstractmethod
    def remove_abandoned(self) -> None:
        """Removes what killed processes left half-written, and finishes removals that they began."""


def key_of(digest: str, suffix: str) -> str:
    """Where an artifact lies among the others. Raises `ValueError` for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"digest: {digest!r} names no artifact")
    return f"{digest[:2]}/{digest}{suffix}"
