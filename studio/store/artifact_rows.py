"""The rows of artifacts: which files takes and projects may have, and how files without a row are removed.

A writer stores a file, writes its row, and then looks whether the file is there; one that removes a file
writes a row of its own first, which no other transaction sees, and takes it back in the end. Of two
transactions with a row of the same digest the later waits for the end of the earlier. So a row that is
committed has its file, however storing and removing meet.

Functions with a session are part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from studio.store import artifact_home, picture_rows
from studio.store.artifacts import Artifact, Artifacts, Orphan
from studio.store.insertion import added
from studio.store.tables import ArtifactRow, TakeRow

T = TypeVar("T")

_TRIES: Final = 5
"""How often files are stored whose rows are refused."""


class ArtifactGone(Exception):
    """A file was removed between the moment it was stored and its row: it is to be stored again."""


def stored(artifacts: Artifacts, files: Iterable[Path], note: Callable[[list[Artifact]], T]) -> T:
    """Stores files and lets `note` write their rows by `keep`, again where one was removed between the two.

    Returns what `note` returns.
    """
    files = list(files)
    for _ in range(_TRIES - 1):
        with suppress(ArtifactGone):
            return note([artifacts.put(file) for file in files])
    return note([artifacts.put(file) for file in files])


def keep(session: Session, artifacts: Artifacts, kept: Sequence[Artifact], now: float) -> None:
    """Notes files that were stored, once each.

    Raises `ArtifactGone` where one is not there whole, `Refused` where the studio keeps its files elsewhere.
    """
    artifact_home.check(session, artifacts.home)
    artifact_home.note(session, artifacts.home)
    for artifact in sorted(kept, key=lambda artifact: artifact.digest):  # as all do: no circle of waiting
        if not _added(session, artifact, now) and _locked(session, artifact.digest) is None:
            raise ArtifactGone(artifact.digest)
    for artifact in kept:
        if artifacts.size(artifact.digest, artifact.suffix) != artifact.bytes:
            raise ArtifactGone(artifact.digest)


def noted(session: Session) -> list[Artifact]:
    """The files that are said to be in place."""
    rows = session.scalars(select(ArtifactRow).order_by(ArtifactRow.digest))
    return [Artifact(digest=row.digest, suffix=row.suffix, bytes=row.bytes) for row in rows]


def in_use(session: Session) -> set[str]:
    """The digests of all files that a take or a project has."""
    columns = (TakeRow.clip, TakeRow.latents, TakeRow.trace, TakeRow.thumbnail)
    of_takes = {digest for column in columns for digest in session.scalars(select(column).distinct())}
    return of_takes | picture_rows.digests(session)


def forget_unused(session: Session) -> None:
    """Drops the rows of files that no take and no project has any longer."""
    unused = set(session.scalars(select(ArtifactRow.digest))) - in_use(session)
    rows = [row for digest in sorted(unused) if (row := _locked(session, digest)) is not None]
    used = in_use(session)  # asked again: until they were locked, a take may have got one of them
    for row in rows:
        if row.digest not in used:
            session.delete(row)
    session.flush()


@contextmanager
def held_unnamed(session: Session, orphans: Iterable[Orphan]) -> Iterator[list[Orphan]]:
    """Those of the orphans that still have no row; none of them gets one within the context."""
    held = []
    for orphan in sorted(orphans, key=lambda orphan: orphan.digest):
        if _added(session, Artifact(digest=orphan.digest, suffix="", bytes=orphan.bytes), 0.0):
            held.append(orphan)
    yield held
    session.execute(delete(ArtifactRow).where(ArtifactRow.digest.in_([orphan.digest for orphan in held])))


def _added(session: Session, artifact: Artifact, now: float) -> bool:
    """Adds a row; False where there is one of its digest."""
    return added(
        session,
        ArtifactRow,
        digest=artifact.digest,
        suffix=artifact.suffix,
        bytes=artifact.bytes,
        created=now,
    )


def _locked(session: Session, digest: str) -> ArtifactRow | None:
    """A row that others cannot drop in this transaction; None where it is gone."""
    return session.get(ArtifactRow, digest, with_for_update=True, populate_existing=True)
