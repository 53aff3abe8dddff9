"""Footage in the database: revisions, undo and redo, and edits that are one step of undo."""

from __future__ import annotations

from fractions import Fraction

import pytest
from sqlalchemy.orm import Session

from studio.domain.errors import NotThere, Refused, StaleRevision
from studio.domain.footage import Footage, FootageShot
from studio.domain.footage_edits import CaptionShot, FootageEdit, MoveCut, SplitShot, StyleFootage
from studio.store import footage_rows
from studio.store.database import Database
from studio.store.footage_rows import JOINED_WITHIN, Given, GivenShot

ID = "0123456789abcdef"
MADE = Footage(
    frames=100, rate=Fraction(24000, 1001), shots=(FootageShot(start=0), FootageShot(start=40)), style="ink"
)


@pytest.fixture
def read(database: Database) -> Database:
    """A database with footage that was read."""
    with database.write() as session:
        footage_rows.add(session, ID, "sea.mp4", "/films/sea.mp4", 1.0)
        footage_rows.set_read(session, ID, MADE, (640, 360), ["damaged"], 2.0)
    return database


def edit(database: Database, made: FootageEdit, now: float, base: int | None = None) -> None:
    with database.write() as session:
        at = footage_rows.load(session, ID).revision if base is None else base
        footage_rows.apply(session, ID, made, base=at, now=now)


def turn(database: Database, *, back: bool) -> None:
    with database.write() as session:
        base = footage_rows.load(session, ID).revision
        (footage_rows.undo if back else footage_rows.redo)(session, ID, base=base, now=9.0)


def now_there(database: Database) -> Footage | None:
    with database.read() as session:
        return footage_rows.load(session, ID).footage


def test_what_was_read_comes_back(read: Database) -> None:
    with read.read() as session:
        stored = footage_rows.load(session, ID)
        assert [one.id for one in footage_rows.listed(session)] == [ID]
        assert footage_rows.of_path(session, "/films/sea.mp4") == ID
        assert footage_rows.of_path(session, "/films/other.mp4") is None
    assert (stored.footage, stored.size, stored.read, stored.notes) == (MADE, (640, 360), 2.0, ("damaged",))
    assert (stored.undo, stored.redo) == (None, None)


def test_edits_are_undone_and_made_again(read: Database) -> None:
    edit(read, SplitShot(at=20), 10.0)
    edit(read, StyleFootage(style="oil"), 20.0)
    changed = now_there(read)
    with read.read() as session:
        assert footage_rows.load(session, ID).undo == "style"
    turn(read, back=True)
    turn(read, back=True)
    assert now_there(read) == MADE
    turn(read, back=False)
    turn(read, back=False)
    assert now_there(read) == changed
    with pytest.raises(Refused):
        turn(read, back=False)
    turn(read, back=True)
    edit(read, SplitShot(at=70), 30.0)
    with pytest.raises(Refused):  # what was undone is forgotten by another edit
        turn(read, back=False)


def test_moves_of_a_cut_at_once_are_one_step(read: Database) -> None:
    for number, to in enumerate((41, 42, 43)):
        edit(read, MoveCut(shot=1, to=to), 10.0 + number * JOINED_WITHIN)
    edit(read, MoveCut(shot=1, to=50), 100.0)
    turn(read, back=True)
    there = now_there(read)
    assert there is not None
    assert there.shots[1].start == 43
    turn(read, back=True)
    assert now_there(read) == MADE
    edit(read, CaptionShot(shot=0, caption="a"), 200.0)
    edit(read, CaptionShot(shot=0, caption=""), 200.5)
    with read.read() as session:  # nothing of them is left
        assert footage_rows.load(session, ID).undo is None
    edit(read, CaptionShot(shot=0, caption="a"), 300.0)
    edit(read, CaptionShot(shot=1, caption="b"), 300.1)
    turn(read, back=True)
    there = now_there(read)
    assert there is not None
    assert [shot.caption for shot in there.shots] == ["a", ""]


def test_an_edit_of_an_older_revision_is_refused(read: Database) -> None:
    edit(read, SplitShot(at=20), 10.0, base=1)
    with pytest.raises(StaleRevision):
        edit(read, SplitShot(at=30), 11.0, base=1)
    edit(read, CaptionShot(shot=0, caption=""), 12.0)  # no change
    with read.read() as session:
        assert footage_rows.load(session, ID).revision == 2


def test_footage_that_was_not_read_is_not_edited(database: Database) -> None:
    with database.write() as session:
        given = Given(
            title="Sea", style="ink", shots=(GivenShot(start=0.5, end=1.0, caption="a", left_out=True),)
        )
        footage_rows.add(session, ID, "sea.mp4", None, 1.0, given)
        with pytest.raises(Refused):
            footage_rows.apply(session, ID, SplitShot(at=3), base=0, now=2.0)
        stored = footage_rows.load(session, ID)
    assert stored.given == given
    assert given.in_frames(Fraction(24), 48) == (
        FootageShot(start=0, left_out=True),
        FootageShot(start=12, caption="a", left_out=True),
        FootageShot(start=24, left_out=True),
    )


def test_removed_footage_is_gone_with_its_edits(read: Database) -> None:
    edit(read, SplitShot(at=20), 10.0)

    def remove(session: Session) -> None:
        footage_rows.remove(session, ID)
        session.flush()

    with read.write() as session:
        remove(session)
        assert footage_rows.ids(session) == frozenset()
        with pytest.raises(NotThere):
            remove(session)
    with read.write() as session:
        footage_rows.add(session, ID, "sea.mp4", None, 20.0)
        assert footage_rows.load(session, ID).undo is None
