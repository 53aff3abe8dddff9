"""The list of projects: creating, importing, copying, binning, and their states."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.edits.timeline import Skip
from studio.domain.errors import BadStoryboard, NotThere, Refused
from studio.domain.storyboard import Storyboard
from studio.exchange.yaml_reader import parse_storyboard
from studio.service.project_states import MOST_STATES
from studio.service.state import ProjectState, ShotState
from studio.service.studio import Service
from studio.store.database import Database
from tests.fakes.artifact_paths import path_of
from tests.fakes.inline_studio import BOARD, Studio


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def shot(state: ProjectState, name: str) -> ShotState:
    return next(shot for shot in state.shots if shot.id == name)


def test_projects_are_created_listed_and_opened(studio: Studio) -> None:
    first, second = (
        studio.service.projects.create(BOARD),
        studio.service.projects.create(Storyboard(title="Empty")),
    )
    assert [(p.id, p.title, p.shots) for p in studio.service.projects.all()] == [
        (second, "Empty", 0),
        (first, "Test", 3),
    ]
    studio.service.projects.open(first)
    assert [p.id for p in studio.service.projects.all()] == [first, second]
    assert studio.service.projects.storyboard(first) == BOARD


def test_a_storyboard_is_imported_and_exported_as_yaml(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    again = studio.service.projects.import_yaml(studio.service.projects.export_yaml(project))
    board = studio.service.projects.storyboard(again)
    assert [s.caption for s in board.shots] == [s.caption for s in BOARD.shots]
    assert replace(board, shots=()) == replace(BOARD, shots=())
    with pytest.raises(BadStoryboard, match=r"sad\.yaml:2: shots: must be a list"):
        studio.service.projects.import_yaml("title: x\nshots: 5\n", "sad.yaml")
    assert len(studio.service.projects.all()) == 2


def test_exported_yaml_has_the_seed_of_a_rerolled_take(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "b", seed=77)
    studio.work()
    board = parse_storyboard(studio.service.projects.export_yaml(project), "again.yaml")
    assert [shot.seed for shot in board.shots] == [None, 77, None]


def test_a_copy_has_all_takes_and_a_history_of_its_own(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "b", count=2)
    studio.work()
    studio.service.editing.edit(project, SetCaption(shot="c", caption="Mira sits"), base=0)
    old = studio.service.projects.state(project)
    new = studio.service.projects.state(studio.service.projects.duplicate(project))
    assert new.title == "Test (copy)"
    assert (new.revision, new.undo) == (0, None)
    assert new.shots == old.shots
    take = shot(new, "b").take
    assert take is not None
    assert path_of(studio.service.files.media(new.id, take, "clip")).is_file()
    studio.service.editing.edit(new.id, SetCaption(shot="a", caption="Mira runs"), base=0)
    assert studio.service.projects.state(project).shots == old.shots
    long = studio.service.projects.create(replace(BOARD, title="x" * 200))
    assert len(studio.service.projects.state(studio.service.projects.duplicate(long)).title) == 200


def test_binning_cancels_jobs_and_can_be_undone(studio: Studio) -> None:
    project, other = studio.service.projects.create(BOARD), studio.service.projects.create(BOARD)
    studio.service.rendering.render(project)
    studio.service.rendering.render(other, ("a",))
    studio.service.projects.trash(project)
    assert {p.id: p.trashed is not None for p in studio.service.projects.all()} == {
        project: True,
        other: False,
    }
    studio.work()
    states = {(job.project, job.state) for job in studio.service.queue.state().jobs}
    assert states == {(project, "cancelled"), (other, "done")}
    studio.service.projects.recover(project)
    assert not any(p.trashed for p in studio.service.projects.all())


def test_a_project_in_the_bin_is_neither_edited_nor_rendered(studio: Studio) -> None:
    service, project = studio.service, studio.rendered()
    revision = service.editing.edit(project, SetCaption(shot="a", caption="Mira sits"), base=0).revision
    (job,) = service.rendering.render(project, ("a",))
    service.projects.trash(project)
    changes: tuple[Callable[[], object], ...] = (
        lambda: service.editing.edit(project, SetCaption(shot="a", caption="Mira runs"), revision),
        lambda: service.editing.undo(project, revision),
        lambda: service.editing.redo(project, revision),
        lambda: service.rendering.render(project, "all"),
        lambda: service.rendering.reroll(project, "a"),
        lambda: service.queue.retry(job),
    )
    for change in changes:
        with pytest.raises(Refused, match="the project is in the bin; take it out of the bin first"):
            change()
    assert service.projects.state(project).revision == revision
    service.projects.recover(project)
    assert service.editing.undo(project, revision).shots[0].caption == "Mira waves"


def test_missing_projects_takes_and_jobs_are_reported(studio: Studio) -> None:
    service = studio.service
    for call in (
        lambda: service.projects.state("x"),
        lambda: service.projects.storyboard("x"),
        lambda: service.projects.export_yaml("x"),
        lambda: service.projects.open("x"),
        lambda: service.projects.duplicate("x"),
        lambda: service.projects.trash("x"),
        lambda: service.projects.recover("x"),
        lambda: service.editing.edit("x", Skip(shots=("a",), on=True), base=0),
        lambda: service.editing.undo("x", base=0),
        lambda: service.editing.redo("x", base=0),
        lambda: service.rendering.plan("x"),
        lambda: service.rendering.render("x"),
        lambda: service.rendering.reroll("x", "a"),
        lambda: service.files.media("x", "t", "clip"),
        lambda: service.queue.cancel(1),
        lambda: service.queue.retry(1),
        lambda: service.queue.move(1, None),
        lambda: service.queue.preview(1),
    ):
        with pytest.raises(NotThere):
            call()


def test_the_stamp_changes_with_everything_that_is_shown(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    stamps = [studio.service.queue.project_status(project).stamp]
    assert studio.service.queue.project_status(project).stamp == stamps[0]
    assert studio.service.projects.state(project).stamp == stamps[0]
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira sits"), base=0)
    stamps.append(studio.service.queue.project_status(project).stamp)
    studio.service.rendering.render(project, ("a",))
    waiting = studio.service.queue.project_status(project)
    assert waiting.stamp == stamps[-1]
    assert [job.state for job in waiting.queue.jobs] == ["queued"]
    studio.work()
    stamps.append(studio.service.queue.project_status(project).stamp)
    studio.service.rendering.reroll(project, "a")
    studio.work()
    stamps.append(studio.service.queue.project_status(project).stamp)
    assert len(set(stamps)) == len(stamps)


def test_a_cached_state_is_never_out_of_date(studio: Studio, tmp_path: Path, database: Database) -> None:
    """What another process changed is seen; what is unchanged is not worked out again."""
    project = studio.service.projects.create(BOARD)
    other = Service(tmp_path, database)
    before = studio.service.projects.state(project)
    assert studio.service.projects.state(project) is before
    shot = before.shots[0].id
    other.editing.edit(project, SetCaption(shot=shot, caption="Otto runs"), before.revision)
    assert studio.service.projects.state(project).shots[0].caption == "Otto runs"
    for number in range(MOST_STATES):
        studio.service.projects.state(studio.service.projects.create(Storyboard(title=str(number))))
    again = studio.service.projects.state(project)
    assert again == studio.service.projects.state(project)
    assert again.shots[0].caption == "Otto runs"
