"""Footage in the database: adding, reading, editing, undoing.

Each function is part of the caller's transaction; `now` is the time in seconds since 1970.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from studio.domain.errors import NotThere, Refused, StaleRevision
from studio.domain.footage import Footage, FootageChange, FootageShot, footage_difference, shots_between
from studio.domain.footage_edits import FootageEdit, ReplaceShots
from studio.domain.messages import message
from studio.store.tables import FootageEditRow, FootageRow

JOINED_WITHIN: Final = 2.0
"""Seconds between two edits of the same kind and shot that are one step of undo."""


@dataclass(frozen=True, kw_only=True)
class GivenShot:
    """A shot of a storyboard that footage came with, in seconds."""

    start: float
    end: float
    caption: str = ""
    left_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a storyboard file says of a video."""

    title: str
    style: str
    shots: tuple[GivenShot, ...]

    def in_frames(self, rate: Fraction, frames: int) -> tuple[FootageShot, ...]:
        """The shots of a video of `frames` frames at this rate."""
        return shots_between(
            [
                (round(shot.start * rate), round(shot.end * rate), shot.caption, shot.left_out)
                for shot in self.shots
            ],
            frames,
        )


@dataclass(frozen=True, kw_only=True)
class StoredFootage:
    """Footage as it is now. `footage`, `size` (width, height) and `read` are None until a job read the video.

    `path` is None for a video that was uploaded. `title` is that of the storyboard, "" for none of its own.
    `notes` say what could not be read. `undo` and `redo` are what these would do, in words.
    """

    id: str
    name: str
    path: str | None
    footage: Footage | None
    size: tuple[int, int] | None
    given: Given | None
    title: str
    style: str
    notes: tuple[str, ...]
    revision: int
    changed: float
    read: float | None
    undo: str | None = None
    redo: str | None = None


def new_id() -> str:
    """A new id for footage."""
    return secrets.token_hex(8)


def add(
    session: Session,
    footage: str,
    name: str,
    path: str | None,
    now: float,
    given: Given | None = None,
) -> None:
    """Stores new footage that is still to be read."""
    session.add(FootageRow(id=footage, name=name, path=path, notes=[], created=now, changed=now))
    session.flush()
    if given is not None:
        set_given(session, footage, given)


def listed(session: Session) -> list[StoredFootage]:
    """All footage, the one added last first, without what undo would do."""
    rows = select(FootageRow).order_by(FootageRow.created.desc(), FootageRow.id)
    return [_stored(row) for row in session.scalars(rows)]


def ids(session: Session) -> frozenset[str]:
    return frozenset(session.scalars(select(FootageRow.id)))


def of_path(session: Session, path: str) -> str | None:
    """The footage whose video lies at a path."""
    return session.scalar(select(FootageRow.id).where(FootageRow.path == path).limit(1))


def load(session: Session, footage: str) -> StoredFootage:
    """Raises `NotThere`."""
    return _stored(
        _row(session, footage),
        undo=session.scalar(_last_done(FootageEditRow.words, footage)),
        redo=session.scalar(_next_undone(FootageEditRow.words, footage)),
    )


def set_given(session: Session, footage: str, given: Given) -> None:
    """Notes the shots of a storyboard for footage that is still to be read. Raises `NotThere`."""
    row = _row(session, footage)
    row.title, row.style = given.title, given.style
    row.given = [asdict(shot) for shot in given.shots]


def set_read(
    session: Session,
    footage: str,
    made: Footage,
    size: tuple[int, int],
    notes: Sequence[str],
    now: float,
) -> None:
    """Notes what a job found in the video, and what it could not read. Edits made before are forgotten.

    Raises `NotThere`.
    """
    row = _row(session, footage)
    row.style, row.notes = made.style, list(notes)
    row.frames, row.rate, row.shots = made.frames, str(made.rate), _shots_to_json(made.shots)
    row.width, row.height = size
    row.given = None
    row.revision += 1
    row.read = row.changed = now
    session.execute(delete(FootageEditRow).where(FootageEditRow.footage == footage))


def set_previewed(session: Session, footage: str, now: float) -> None:
    """Notes that the preview film was written again, of an unchanged video. Raises `NotThere`."""
    _row(session, footage).read = now


def apply(session: Session, footage: str, edit: FootageEdit | ReplaceShots, *, base: int, now: float) -> None:
    """Carries out an edit that was made at revision `base`; what was undone before it is forgotten.

    Raises `StaleRevision`, `NotThere` and what the edit raises; `Refused` where the video was not read yet.
    """
    row = _at_revision(session, footage, base)
    old = _footage(row)
    if old is None:
        raise Refused(message("footage-not-read"))
    change = footage_difference(old, edit.apply(old))
    if not change:
        return
    session.execute(delete(FootageEditRow).where(FootageEditRow.footage == footage, FootageEditRow.undone))
    last: FootageEditRow | None = session.scalar(_last_done(FootageEditRow, footage))
    words = edit.words()
    if edit.joins and last is not None and last.words == words and now - last.at <= JOINED_WITHIN:
        last.after, last.styles = _shots_to_json(change.after), [last.styles[0], change.styles[1]]
        last.at = now
        if last.after == last.before and last.styles[0] == last.styles[1]:
            session.delete(last)
    else:
        session.add(
            FootageEditRow(
                footage=footage,
                words=words,
                position=change.at,
                before=_shots_to_json(change.before),
                after=_shots_to_json(change.after),
                styles=list(change.styles),
                at=now,
            )
        )
    _make(row, old, change, now)


def undo(session: Session, footage: str, *, base: int, now: float) -> None:
    """Takes the last edit back. Raises as `apply` does, and `Refused` if there is none."""
    _turn(session, footage, base, now, back=True)


def redo(session: Session, footage: str, *, base: int, now: float) -> None:
    """Makes the edit again that was taken back last. Raises as `undo` does."""
    _turn(session, footage, base, now, back=False)


def remove(session: Session, footage: str) -> None:
    """Deletes footage with its edits, for good. Raises `NotThere`."""
    session.delete(_row(session, footage))


def _turn(session: Session, footage: str, base: int, now: float, *, back: bool) -> None:
    row = _at_revision(session, footage, base)
    edit: FootageEditRow | None = session.scalar(
        _last_done(FootageEditRow, footage) if back else _next_undone(FootageEditRow, footage)
    )
    if edit is None:
        raise Refused(message("nothing-to-undo" if back else "nothing-to-redo"))
    change = FootageChange(
        at=edit.position,
        before=_shots_from_json(edit.before),
        after=_shots_from_json(edit.after),
        styles=(edit.styles[0], edit.styles[1]),
    )
    edit.undone = back
    now_there = _footage(row)
    assert now_there is not None, "it has edits"
    _make(row, now_there, change.inverse if back else change, now)


def _make(row: FootageRow, footage: Footage, change: FootageChange, now: float) -> None:
    changed = change.apply(footage)
    row.shots, row.style = _shots_to_json(changed.shots), changed.style
    row.revision += 1
    row.changed = now


def _row(session: Session, footage: str) -> FootageRow:
    row = session.get(FootageRow, footage)
    if row is None:
        raise NotThere(message("footage-not-found"))
    return row


def _at_revision(session: Session, footage: str, base: int) -> FootageRow:
    row = _row(session, footage)
    if row.revision != base:
        raise StaleRevision(message("footage-changed"))
    return row


def _stored(row: FootageRow, undo: str | None = None, redo: str | None = None) -> StoredFootage:
    return StoredFootage(
        id=row.id,
        name=row.name,
        path=row.path,
        footage=_footage(row),
        size=None if row.width is None or row.height is None else (row.width, row.height),
        given=None
        if row.given is None
        else Given(title=row.title, style=row.style, shots=tuple(GivenShot(**shot) for shot in row.given)),
        title=row.title,
        style=row.style,
        notes=tuple(row.notes),
        revision=row.revision,
        changed=row.changed,
        read=row.read,
        undo=undo,
        redo=redo,
    )


def _footage(row: FootageRow) -> Footage | None:
    if row.frames is None or row.rate is None or row.shots is None:
        return None
    return Footage(
        frames=row.frames, rate=Fraction(row.rate), shots=_shots_from_json(row.shots), style=row.style
    )


def _shots_to_json(shots: Sequence[FootageShot]) -> list[Any]:
    return [[shot.start, shot.caption, shot.left_out] for shot in shots]


def _shots_from_json(stored: Sequence[Any]) -> tuple[FootageShot, ...]:
    return tuple(
        FootageShot(start=start, caption=caption, left_out=left_out) for start, caption, left_out in stored
    )


def _last_done(what: Any, footage: str) -> Select[Any]:
    done = select(what).where(FootageEditRow.footage == footage, ~FootageEditRow.undone)
    return done.order_by(FootageEditRow.number.desc()).limit(1)


def _next_undone(what: Any, footage: str) -> Select[Any]:
    undone = select(what).where(FootageEditRow.footage == footage, FootageEditRow.undone)
    return undone.order_by(FootageEditRow.number).limit(1)
