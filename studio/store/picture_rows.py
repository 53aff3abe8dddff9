"""The pictures of projects, first frames of shots and of the cast: PNG files among the artifacts.

Functions are part of the caller's transaction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.file_types import PICTURE
from studio.store.artifacts import YOUNG
from studio.store.clock import database_time
from studio.store.tables import ArtifactRow, EditRow, JobRow, PictureRow, ProjectRow, TakeRow

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def keep(session: Session, project: str, digest: str, now: float) -> None:
    """Adds a picture to a project, whose artifact is noted; one that it has is as young as a new one."""
    row = session.get(PictureRow, (project, digest))
    if row is None:
        session.add(PictureRow(project=project, digest=digest, added=now))
    else:
        row.added = now
    session.flush()


def keep_known(session: Session, project: str, digests: Iterable[str], now: float) -> None:
    """Adds those of these pictures to a project whose artifacts are noted, as pictures."""
    for digest in digests:
        artifact = session.get(ArtifactRow, digest)
        if artifact is not None and artifact.suffix == PICTURE:
            keep(session, project, digest, now)


def is_kept(session: Session, project: str, digest: str) -> bool:
    """Whether a project has this picture."""
    return session.get(PictureRow, (project, digest)) is not None


def pictures_of(session: Session, project: str) -> list[str]:
    """The digests of a project's pictures, in the order they were added."""
    rows = select(PictureRow).where(PictureRow.project == project)
    return [row.digest for row in session.scalars(rows.order_by(PictureRow.added, PictureRow.digest))]


def digests(session: Session) -> set[str]:
    """The digests of the pictures of all projects."""
    return set(session.scalars(select(PictureRow.digest).distinct()))


def unnamed(session: Session, without: Collection[tuple[str, str]] = ()) -> set[tuple[str, str]]:
    """The pictures, by project and digest, that nothing of their project names: no shot, cast member, undo
    step or take.

    Those that were added within `artifacts.YOUNG` are not among them: they may still be named. Neither are
    those of projects of which a shot is being rendered, which may be made from one. Takes in `without`, by
    project and id, do not count.
    """
    rendering = select(JobRow.project).where(JobRow.state == "running", JobRow.project.is_not(None))
    old = select(PictureRow).where(
        PictureRow.added < database_time(session) - YOUNG, PictureRow.project.not_in(rendering)
    )
    found: dict[str, set[str]] = {}
    for row in session.scalars(old):
        found.setdefault(row.project, set()).add(row.digest)
    for project, digests in found.items():
        for document in _documents(session, project, without):
            digests.difference_update(_DIGEST.findall(json.dumps(document)))
    return {(project, digest) for project, digests in found.items() for digest in digests}


def forget_unnamed(session: Session) -> None:
    """Drops the pictures that nothing names."""
    for name in unnamed(session):
        session.delete(session.get_one(PictureRow, name))
    session.flush()


def _documents(session: Session, project: str, without: Collection[tuple[str, str]]) -> Iterator[Any]:
    """All that may name pictures: the project, its undo steps, the inputs of its takes."""
    yield session.get_one(ProjectRow, project).document
    edits = select(EditRow.before, EditRow.after).where(EditRow.project == project)
    for before, after in session.execute(edits):
        yield before
        yield after
    takes = select(TakeRow.id, TakeRow.inputs).where(TakeRow.project == project)
    yield from (inputs for take, inputs in session.execute(takes) if (project, take) not in without)
