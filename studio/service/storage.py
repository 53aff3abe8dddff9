"""What the studio occupies on the disk, and freeing it: the bin, discarded takes, files that nothing uses."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from moc_engine.files import abandoned, listed, remove_abandoned
from studio.domain.errors import Refused
from studio.domain.messages import Message, message
from studio.jobs import queue
from studio.service.artifact_move import Moved, move_artifacts
from studio.store import artifact_home, artifact_rows, footage_rows, picture_rows, projects, usage
from studio.store.artifacts import YOUNG, Artifacts, Orphan
from studio.store.database import Database
from studio.store.footage_files import FootageFiles
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.usage import TakeName

NO_TAKE: Final = message("file-of-no-take")
EXPORT: Final = message("file-of-exports")
NO_FOOTAGE: Final = message("file-of-no-footage")
ABANDONED: Final = message("file-abandoned")
IN_BIN: Final = message("file-of-projects-in-bin")
DISCARDED: Final = message("file-of-discarded-takes")

_AT_ONCE: Final = 20
"""Artifacts that are removed in one transaction."""


@dataclass(frozen=True, kw_only=True)
class Unused:
    """A file that can be removed: its path or URL, its size, and why nothing needs it.

    `orphan` is what `Artifacts` knows it by; None for files that are no artifacts.
    """

    location: str
    bytes: int
    reason: Message
    orphan: Orphan | None = None


@dataclass(frozen=True, kw_only=True)
class FreedSpace:
    """How many projects or takes were deleted, and the bytes of the files removed with them."""

    deleted: int
    bytes: int


class Storage:
    """Frees the disk. Files stored or exported within the last hour are kept: they may still be needed."""

    def __init__(self, root: Path, database: Database, artifacts: Artifacts) -> None:
        self._root = root
        self._database = database
        self._artifacts = artifacts

    def unused(self, *, with_bin: bool = False, with_discarded: bool = False) -> tuple[Unused, ...]:
        """What `collect` would remove; also with what the bin and discarded takes occupy."""
        with self._database.read() as session:
            used, freed = usage.digests_in_use(session, _doomed(session, with_bin, with_discarded))
            footage = footage_rows.ids(session)
        with os_errors_as_studio_errors(self._root):
            folders = FootageFiles(self._root).unnamed(footage)
            return (*self._unused(used, freed), *(_unused(folder, NO_FOOTAGE) for folder in folders))

    def collect(self) -> tuple[Unused, ...]:
        """Removes the files that nothing needs; returns them."""
        with self._database.write() as session:
            _forget(session)
        return self._remove()

    def empty_bin(self) -> FreedSpace:
        """Deletes the projects in the bin with their takes, for good."""
        with self._database.write() as session:
            binned = [project.id for project in projects.listed(session) if project.trashed is not None]
            for project in binned:
                projects.remove(session, project)
            _forget(session)
        return self._freed(len(binned))

    def delete_discarded(self, project: str | None = None) -> FreedSpace:
        """Deletes the discarded takes of a project, or of all, for good.

        Raises `NotThere`, and `Refused` while one of its shots is rendered.
        """
        with self._database.write() as session:
            if project is not None:
                projects.project_of(session, project)
            jobs = queue.jobs_of(session, project)
            if any(job.state == "running" for job in jobs):
                raise Refused(message("takes-in-use"))
            deleted = usage.delete_discarded(session, project)
            _forget(session)
        return self._freed(deleted)

    def move_artifacts(self, target: Artifacts, told: Callable[[int, int], None]) -> Moved:
        """Takes all artifacts to another place, as `artifact_move.move_artifacts` does."""
        return move_artifacts(self._database, self._artifacts, target, told)

    def _freed(self, deleted: int) -> FreedSpace:
        return FreedSpace(deleted=deleted, bytes=sum(file.bytes for file in self._remove()))

    def _remove(self) -> tuple[Unused, ...]:
        artifact_home.open_home(self._database, self._artifacts)
        found = self.unused()
        removed = []
        with os_errors_as_studio_errors(self._root):
            for file in found:
                if file.reason == EXPORT:
                    Path(file.location).unlink(missing_ok=True)
                elif file.reason == NO_FOOTAGE:
                    shutil.rmtree(file.location, ignore_errors=True)
                elif file.orphan is not None:
                    continue
                removed.append(file)
            removed += self._remove_orphans([file for file in found if file.orphan is not None])
            for folder in self._folders_of_parts():
                remove_abandoned(folder)
            self._artifacts.remove_abandoned()
            for folder in self._exports():
                with suppress(OSError):  # not empty, or removed meanwhile
                    folder.rmdir()
        return tuple(removed)

    def _remove_orphans(self, found: Sequence[Unused]) -> Iterator[Unused]:
        """Removes artifacts that still have no row; yields those that were not stored again meanwhile.

        Few at a time: none of them can get a row until they are removed, and on SQLite nothing else can.
        """
        for first in range(0, len(found), _AT_ONCE):
            some = {file.orphan: file for file in found[first : first + _AT_ONCE] if file.orphan is not None}
            with (
                self._database.write() as session,
                artifact_rows.held_unnamed(session, some) as unnamed,
            ):
                removed = [orphan for orphan in unnamed if self._artifacts.remove(orphan)]
            yield from (some[orphan] for orphan in removed)

    def _unused(self, used: frozenset[str], freed: Mapping[str, Message]) -> Iterator[Unused]:
        for orphan in self._artifacts.orphans(used):
            reason = freed.get(orphan.digest, NO_TAKE)
            yield Unused(location=orphan.location, bytes=orphan.bytes, reason=reason, orphan=orphan)
        for folder in self._exports():
            for file in listed(folder):
                if not file.name.startswith(".") and file.is_file() and _age(file) > YOUNG:
                    yield _unused(file, EXPORT)
        parts = [part for folder in self._folders_of_parts() for part in abandoned(folder)]
        yield from (_unused(part, ABANDONED) for part in parts)
        for left in self._artifacts.abandoned():
            yield Unused(location=left.location, bytes=left.bytes, reason=ABANDONED)

    def _exports(self) -> list[Path]:
        return sorted(folder for folder in (self._root / "exports").glob("*") if folder.is_dir())

    def _folders_of_parts(self) -> list[Path]:
        """Where files are written, and killed processes may leave parts of them."""
        footage = sorted((self._root / "footage").glob("*"))
        return [self._root, self._root / "scratch", self._root / "backups", *self._exports(), *footage]


def _forget(session: Session) -> None:
    """Drops the rows of pictures that nothing names, and of files that nothing has."""
    picture_rows.forget_unnamed(session)
    artifact_rows.forget_unused(session)


def _doomed(session: Session, with_bin: bool, with_discarded: bool) -> dict[TakeName, Message]:
    """The takes that are to be deleted, and what to say of their files."""
    discarded = usage.discarded_takes(session) if with_discarded else []
    binned = usage.files_in_bin(session) if with_bin else []
    return {**dict.fromkeys(discarded, DISCARDED), **dict.fromkeys(binned, IN_BIN)}


def _unused(path: Path, reason: Message) -> Unused:
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)
    size = 0
    with suppress(FileNotFoundError):  # somebody else removed it
        size = sum(file.lstat().st_size for file in inside if file.is_symlink() or file.is_file())
    return Unused(location=str(path), bytes=size, reason=reason)


def _age(file: Path) -> float:
    """Seconds since a file was written; 0 for one that is gone."""
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
