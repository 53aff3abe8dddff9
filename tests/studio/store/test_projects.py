"""Projects in the database: edits, undo and redo against a model that keeps whole projects."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from studio.domain.edits.film import SetFilm
from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.edits.take_choice import Choose, Discard
from studio.domain.edits.timeline import AddShot, Delete
from studio.domain.errors import BadStoryboard, NotThere, Refused, StaleRevision
from studio.domain.project import Project
from studio.store import projects
from studio.store.database import Database
from studio.store.tables import ProjectRow
from studio.store.upgrade import open_database
from tests.fakes.edits import EDITS, STORY
from tests.fakes.projects import Takes, project, rendered

EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "20"))
STEPS = int(os.environ.get("SOAK_STEPS", "20"))


class Histories(RuleBasedStateMachine):
    """A project that is edited, undone and redone, by a program that may be started anew at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="studio-history-"))
        self.database = open_database(self.root)

    @initialize()
    def begin(self) -> None:
        self.now, takes = rendered(project(*STORY))
        self.takes: Takes = takes
        with self.database.write() as session:
            self.name = projects.create(session, self.now, now=0.0)
        self.revision = 0
        self.done: list[tuple[str, Project]] = []
        self.undone: list[tuple[str, Project]] = []

    @rule(edit=EDITS)
    def edit(self, edit: Any) -> None:
        try:
            new = edit.apply(self.now, self.takes)
        except (BadStoryboard, Refused) as refused:
            with pytest.raises(type(refused)):
                self._apply(edit)
            return
        self._apply(edit)
        if new != self.now:
            self.done.append((edit.words(self.now), self.now))
            self.undone.clear()
            self.now = new
            self.revision += 1

    @rule(shot=st.sampled_from("abcd"), number=st.integers(0, 3), discard=st.booleans())
    def choose_or_discard(self, shot: str, number: int, discard: bool) -> None:
        take = list(self.takes)[number]
        self.edit(Discard(take=take) if discard else Choose(shot=shot, take=take))

    @precondition(lambda self: self.done)
    @rule()
    def undo(self) -> None:
        words, before = self.done.pop()
        self.undone.append((words, self.now))
        self._turn(projects.undo, words, before)

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self) -> None:
        words, after = self.undone.pop()
        self.done.append((words, self.now))
        self._turn(projects.redo, words, after)

    @rule()
    def undo_or_redo_nothing(self) -> None:
        for left, turn in ((self.done, projects.undo), (self.undone, projects.redo)):
            if not left:
                with pytest.raises(Refused, match="there is nothing to"), self.database.write() as session:
                    turn(session, self.name, base=self.revision, now=0.0)

    @rule(edit=EDITS, off=st.sampled_from((-1, 1, 7)))
    def edit_of_another_revision(self, edit: Any, off: int) -> None:
        for turn in (
            lambda s: projects.apply(s, self.name, edit, self.takes, base=self.revision + off, now=0.0),
            lambda s: projects.undo(s, self.name, base=self.revision + off, now=0.0),
            lambda s: projects.redo(s, self.name, base=self.revision + off, now=0.0),
        ):
            with pytest.raises(StaleRevision), self.database.write() as session:
                turn(session)

    @rule()
    def restart(self) -> None:
        self.database.close()
        self.database = open_database(self.root)

    @invariant()
    def nothing_else_is_kept(self) -> None:
        with self.database.read() as session:
            stored = projects.load(session, self.name)
        assert stored.project == self.now
        assert stored.revision == self.revision
        assert stored.undo == (self.done[-1][0] if self.done else None)
        assert stored.redo == (self.undone[-1][0] if self.undone else None)

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.root)

    def _apply(self, edit: Any) -> None:
        with self.database.write() as session:
            projects.apply(session, self.name, edit, self.takes, base=self.revision, now=0.0)

    def _turn(self, turn: Any, words: str, then: Project) -> None:
        with self.database.write() as session:
            assert turn(session, self.name, base=self.revision, now=0.0) == words
        self.now = then
        self.revision += 1


Histories.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestHistories = Histories.TestCase


@pytest.fixture
def name(database: Database) -> str:
    with database.write() as session:
        return projects.create(session, project(*STORY), now=1.0)


def test_projects_are_listed_by_when_they_were_opened(database: Database, name: str) -> None:
    with database.write() as session:
        other = projects.create(session, project(title="Other"), now=2.0)
        projects.opened(session, name, now=3.0)
        projects.set_trashed(session, other, now=4.0)
    with database.read() as session:
        first, second = projects.listed(session)
    assert (first.id, first.title, first.shots, first.opened, first.trashed) == (name, "Test", 4, 3.0, None)
    assert (second.id, second.shots, second.changed, second.trashed) == (other, 0, 2.0, 4.0)
    with database.write() as session:
        projects.set_trashed(session, other, None)
        assert {listed.trashed for listed in projects.listed(session)} == {None}


def test_what_is_gone_is_said(database: Database) -> None:
    with database.write() as session:
        for call in (
            lambda: projects.load(session, "x"),
            lambda: projects.apply(session, "x", SetFilm(title="y"), {}, base=0, now=1.0),
            lambda: projects.undo(session, "x", base=0, now=1.0),
            lambda: projects.redo(session, "x", base=0, now=1.0),
            lambda: projects.choose(session, "x", "a", "t"),
            lambda: projects.opened(session, "x", now=1.0),
            lambda: projects.set_trashed(session, "x", now=1.0),
            lambda: projects.remove(session, "x"),
        ):
            with pytest.raises(NotThere, match="that project is not there any more"):
                call()


def test_an_edit_that_changes_nothing_is_no_edit(database: Database, name: str) -> None:
    with database.write() as session:
        projects.apply(session, name, SetFilm(title="New"), {}, base=0, now=2.0)
        projects.undo(session, name, base=1, now=3.0)
        assert not projects.apply(session, name, SetFilm(title="Test"), {}, base=2, now=4.0)
        stored = projects.load(session, name)
    assert (stored.revision, stored.redo) == (2, "change the title")


def test_a_project_of_version_0_1_reads_and_its_first_edit_changes_nothing_else(
    database: Database, name: str
) -> None:
    with database.write() as session:
        row = session.get_one(ProjectRow, name)
        settings = {**row.document["settings"], "worth": 0.2}
        del settings["rerender_threshold"]
        row.document = {**row.document, "settings": settings}
    with database.write() as session:
        assert projects.project_of(session, name).board.settings.rerender_threshold == 0.2
        change = projects.apply(session, name, SetFilm(title="New"), {}, base=0, now=1.0)
    assert dict(change.after) == {"title": "New"}


def test_a_take_that_stands_is_no_edit_and_leaves_undo_exact(database: Database, name: str) -> None:
    with database.write() as session:
        projects.apply(session, name, SetCaption(shot="a", caption="Mira sits"), {}, base=0, now=2.0)
        projects.choose(session, name, "a", "take")
        assert projects.load(session, name).revision == 1
        projects.undo(session, name, base=1, now=3.0)
        stored = projects.load(session, name)
    assert stored.project == project(*STORY).choosing("a", "take")


def test_a_shot_that_comes_back_has_the_take_it_got_meanwhile(database: Database, name: str) -> None:
    with database.write() as session:
        projects.apply(session, name, AddShot(id="new", caption="Mira rests"), {}, base=0, now=2.0)
        projects.choose(session, name, "new", "take")
        projects.undo(session, name, base=1, now=3.0)
        projects.redo(session, name, base=2, now=4.0)
        assert projects.load(session, name).project.chosen == {"new": "take"}
        projects.apply(session, name, Delete(shots=("new",)), {}, base=3, now=5.0)
        assert projects.load(session, name).project.chosen == {}
        projects.undo(session, name, base=4, now=6.0)
        assert projects.load(session, name).project.chosen == {"new": "take"}


def test_a_take_that_stands_leaves_the_bin(database: Database, name: str) -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["a"]
    with database.write() as session:
        projects.apply(session, name, Discard(take=take), takes, base=0, now=2.0)
        assert projects.load(session, name).project.discarded == {take}
        projects.choose(session, name, "a", take)
        assert projects.load(session, name).project.discarded == set()


def test_a_removed_project_takes_its_edits_along(database: Database, name: str) -> None:
    with database.write() as session:
        projects.apply(session, name, SetFilm(title="New"), {}, base=0, now=2.0)
        projects.remove(session, name)
    with database.read() as session:
        assert projects.listed(session) == []
        assert session.connection().exec_driver_sql("SELECT count(*) FROM edit").scalar() == 0


def test_projects_keep_their_histories_apart(database: Database, name: str) -> None:
    with database.write() as session:
        other = projects.create(session, project(*STORY), now=1.0)
        projects.apply(session, name, SetFilm(title="One"), {}, base=0, now=2.0)
        projects.apply(session, other, SetFilm(style="night"), {}, base=0, now=2.0)
        assert projects.undo(session, name, base=1, now=3.0) == "change the title"
        assert projects.load(session, other).project.board.style == "night"
