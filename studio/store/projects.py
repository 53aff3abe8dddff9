"""Projects in the database: creating, listing, editing, undoing.

Each function is part of the caller's transaction; `now` is the time in seconds since 1970.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from studio.domain.edits.edit import Edit
from studio.domain.edits.replacement import ReplaceStoryboard
from studio.domain.errors import NotThere, Refused, StaleRevision
from studio.domain.finished_take import FinishedTake
from studio.domain.history import Change, difference
from studio.domain.messages import message
from studio.domain.project import Lane, Project, ProjectSummary
from studio.store.documents import from_document, to_document
from studio.store.tables import EditRow, ProjectRow, StripRow, TakeRow
from studio.store.usage import usage_by_project


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A project with its revision, and what undo and redo would do, in words; None for nothing."""

    id: str
    project: Project
    revision: int
    undo: str | None
    redo: str | None


def create(session: Session, project: Project, now: float) -> str:
    """Stores a new project; returns its id."""
    row = ProjectRow(
        id=secrets.token_hex(8),
        document=dict(to_document(project)),
        revision=0,
        created=now,
        changed=now,
        opened=now,
    )
    session.add(row)
    session.flush()
    return row.id


def listed(session: Session) -> list[ProjectSummary]:
    """All projects, the one opened last first."""
    rows = session.scalars(select(ProjectRow).order_by(ProjectRow.opened.desc()))
    usage = usage_by_project(session)
    return [
        ProjectSummary(
            id=row.id,
            title=row.document["title"],
            shots=len(row.document["order"]),
            changed=row.changed,
            opened=row.opened,
            trashed=row.trashed,
            bytes=usage[row.id].own + usage[row.id].shared,
            own_bytes=usage[row.id].own,
        )
        for row in rows
    ]


def load(session: Session, project: str) -> Stored:
    """Raises `NotThere`."""
    row = _row(session, project)
    return Stored(
        id=row.id,
        project=from_document(row.document),
        revision=row.revision,
        undo=session.scalar(_last_done(EditRow.words, project)),
        redo=session.scalar(_next_undone(EditRow.words, project)),
    )


def project_of(session: Session, project: str) -> Project:
    """The project alone. Raises `NotThere`."""
    return from_document(_row(session, project).document)


def apply(
    session: Session,
    project: str,
    edit: Edit | ReplaceStoryboard,
    takes: Mapping[str, FinishedTake],
    *,
    base: int,
    now: float,
) -> Change:
    """Carries out an edit that was made at revision `base`; what was undone before it is forgotten.

    Raises `StaleRevision`, `NotThere` and what the edit raises.
    """
    row = _at_revision(session, project, base)
    old = from_document(row.document)
    change = difference(to_document(old), to_document(edit.apply(old, takes)))
    if not change:
        return change
    session.execute(delete(EditRow).where(EditRow.project == project, EditRow.undone))
    words = edit.words(old)
    session.add(
        EditRow(project=project, words=words, before=dict(change.before), after=dict(change.after), at=now)
    )
    _make(session, row, change, now)
    return change


def undo(session: Session, project: str, *, base: int, now: float) -> str:
    """Takes the last edit back; returns what it was, in words. Raises as `apply` does."""
    return _turn(session, project, base, now, back=True)


def redo(session: Session, project: str, *, base: int, now: float) -> str:
    """Makes the edit again that was taken back last; returns what it is, in words."""
    return _turn(session, project, base, now, back=False)


def choose(session: Session, project: str, shot: str, take: str, lane: Lane = "final") -> None:
    """Lets a take stand for a shot in a lane, from the bin if need be.

    It is no edit: nobody's revision is out of date by it.
    """
    row = _row(session, project)
    discarded = {name: True for name in row.document["discarded"] if name != take}
    part = "drafts" if lane == "draft" else "chosen"
    chosen = {**row.document.get(part, {}), shot: take}
    row.document = {**row.document, part: chosen, "discarded": discarded}


def opened(session: Session, project: str, now: float) -> None:
    _row(session, project).opened = now


def set_trashed(session: Session, project: str, now: float | None) -> None:
    """Puts a project into the bin, or takes it out with None."""
    _row(session, project).trashed = now


def refuse_trashed(session: Session, project: str) -> None:
    """Raises `Refused` where the project is in the bin, and `NotThere` where it is gone."""
    if _row(session, project).trashed is not None:
        raise Refused(message("project-in-bin"))


def remove(session: Session, project: str) -> None:
    """Deletes a project with all that belongs to it, for good."""
    session.delete(_row(session, project))


def _turn(session: Session, project: str, base: int, now: float, *, back: bool) -> str:
    row = _at_revision(session, project, base)
    edit: EditRow | None = session.scalar(
        _last_done(EditRow, project) if back else _next_undone(EditRow, project)
    )
    if edit is None:
        raise Refused(message("nothing-to-undo" if back else "nothing-to-redo"))
    change = Change(before=edit.before, after=edit.after)
    edit.undone = back
    _make(session, row, change.inverse if back else change, now)
    return edit.words


def _make(session: Session, row: ProjectRow, change: Change, now: float) -> None:
    row.document = dict(change.apply(row.document))
    row.revision += 1
    row.changed = now
    for place, take in change.after.items():
        part, _, shot = place.partition("/")
        if (
            part in ("chosen", "drafts")
            and take is not None
            and session.get(TakeRow, (row.id, take)) is not None
        ):
            add_to_strip(session, row.id, shot, take, now)


def add_to_strip(session: Session, project: str, shot: str, take: str, now: float) -> None:
    """Shows a take among those of a shot."""
    if session.get(StripRow, (project, shot, take)) is None:
        session.add(StripRow(project=project, shot=shot, take=take, added=now))


def _row(session: Session, project: str) -> ProjectRow:
    row = session.get(ProjectRow, project)
    if row is None:
        raise NotThere(message("project-not-found"))
    return row


def _at_revision(session: Session, project: str, base: int) -> ProjectRow:
    row = _row(session, project)
    if row.revision != base:
        raise StaleRevision(message("project-changed"))
    return row


def _last_done(what: Any, project: str) -> Select[Any]:
    done = select(what).where(EditRow.project == project, ~EditRow.undone)
    return done.order_by(EditRow.number.desc()).limit(1)


def _next_undone(what: Any, project: str) -> Select[Any]:
    undone = select(what).where(EditRow.project == project, EditRow.undone)
    return undone.order_by(EditRow.number).limit(1)
