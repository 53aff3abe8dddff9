"""The pictures of projects, with which shots may start: PNG files among the artifacts.

Functions are part of the caller's transaction.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.store.tables import PictureRow


def keep(session: Session, project: str, digest: str, now: float) -> None:
    """Adds a picture to a project, whose artifact is noted."""
    if session.get(PictureRow, (project, digest)) is None:
        session.add(PictureRow(project=project, digest=digest, added=now))
        session.flush()


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
