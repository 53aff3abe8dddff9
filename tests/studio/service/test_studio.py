"""The one door: every method, with a real database and a worker that draws flat colours."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from moc_engine.errors import OutOfMemory
from studio.domain.edits import AddShot, Choose, Lock, SetCaption, SetCast, SetSettings, Skip
from studio.domain.errors import BadBundle, BadStoryboard, NotThere, Refused, StaleRevision
from studio.domain.storyboard import CastMember, Settings, Shot, Storyboard
from studio.exchange.exports import EXPORTS
from studio.exchange.yaml import parse_storyboard
from studio.service.project_files import BUNDLE, MEDIA
from studio.service.project_states import MOST_STATES
from studio.service.state import ProjectState, ShotState
from studio.service.studio import Service
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.renderer import FakeRenderer


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def shot(state: ProjectState, name: str) -> ShotState:
    return next(shot for shot in state.shots if shot.id == name)


# projects


def test_projects_are_made_listed_and_opened(studio: Studio) -> None:
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


def test_yaml_comes_and_goes(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    again = studio.service.projects.import_yaml(studio.service.projects.export_yaml(project))
    board = studio.service.projects.storyboard(again)
    assert [s.caption for s in board.shots] == [s.caption for s in BOARD.shots]
    assert replace(board, shots=()) == replace(BOARD, shots=())
    with pytest.raises(BadStoryboard, match=r"sad\.yaml:2: shots: must be a list"):
        studio.service.projects.import_yaml("title: x\nshots: 5\n", "sad.yaml")
    assert len(studio.service.projects.all()) == 2


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
    assert studio.service.files.media(new.id, take, "clip").is_file()
    studio.service.editing.edit(new.id, SetCaption(shot="a", caption="Mira runs"), base=0)
    assert studio.service.projects.state(project).shots == old.shots
    long = studio.service.projects.create(replace(BOARD, title="x" * 200))
    assert len(studio.service.projects.state(studio.service.projects.duplicate(long)).title) == 200


def test_the_bin_ends_what_waits_and_gives_back_what_is_in_it(studio: Studio) -> None:
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


def test_what_is_gone_is_said(studio: Studio) -> None:
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


# editing


def test_edits_are_made_undone_and_made_again(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    edited = studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira sits"), base=0)
    assert (edited.revision, edited.undo, edited.redo) == (1, "change the caption of shot 1", None)
    assert shot(edited, "a").caption == "Mira sits"
    undone = studio.service.editing.undo(project, base=1)
    assert (undone.revision, undone.undo, undone.redo) == (2, None, "change the caption of shot 1")
    assert shot(undone, "a").caption == "Mira waves"
    assert shot(studio.service.editing.redo(project, base=2), "a").caption == "Mira sits"


def test_a_stale_edit_changes_nothing(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira sits"), base=0)
    before = studio.service.projects.state(project)
    for call in (
        lambda: studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira runs"), base=0),
        lambda: studio.service.editing.undo(project, base=0),
        lambda: studio.service.editing.redo(project, base=2),
    ):
        with pytest.raises(StaleRevision):
            call()
    assert studio.service.projects.state(project) == before
    with pytest.raises(BadStoryboard):
        studio.service.editing.edit(project, SetCaption(shot="a", caption="x" * 3000), base=1)
    assert studio.service.projects.state(project) == before


def test_another_take_is_chosen_by_an_edit(studio: Studio) -> None:
    project = studio.rendered()
    first = shot(studio.service.projects.state(project), "b").take
    assert first is not None
    studio.service.rendering.reroll(project, "b", seed=5)
    studio.work()
    rolled = studio.service.projects.state(project)
    assert [take.chosen for take in shot(rolled, "b").takes] == [False, True]
    back = studio.service.editing.edit(project, Choose(shot="b", take=first), base=0)
    assert [take.chosen for take in shot(back, "b").takes] == [True, False]


# rendering


def test_what_is_worth_it_is_planned_and_rendered(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    plan = studio.service.rendering.plan(project)
    assert [(item.shot, item.index, item.reasons) for item in plan] == [
        (name, index, ("not rendered yet",)) for index, name in enumerate("abc")
    ]
    assert all(item.seconds > 0 for item in plan)
    assert len(studio.service.rendering.render(project)) == 3
    assert studio.service.rendering.render(project) == []  # they wait already
    studio.work()
    assert studio.service.rendering.plan(project) == ()
    with pytest.raises(Refused, match="no shot needs rendering"):
        studio.service.rendering.render(project)
    studio.service.editing.edit(project, SetCaption(shot="b", caption="Otto sits"), base=0)
    assert [item.shot for item in studio.service.rendering.plan(project)] == ["b", "c"]
    assert next(item.reasons for item in studio.service.rendering.plan(project, "all")) == ("asked for",)
    assert [item.shot for item in studio.service.rendering.plan(project, ("c", "gone"))] == ["c"]


def test_what_is_locked_skipped_or_unwritten_is_never_rendered(studio: Studio) -> None:
    shots = (
        Shot(id="locked", caption="Mira waves"),
        Shot(id="skipped", caption="Mira waves", skip=True),
        Shot(id="unwritten", caption=""),
    )
    project = studio.service.projects.create(replace(BOARD, shots=shots))
    studio.service.rendering.render(project)
    studio.work()
    studio.service.editing.edit(project, Lock(shots=("locked",), on=True), base=0)
    for scope in ("all", ("locked", "skipped", "unwritten")):
        assert studio.service.rendering.plan(project, scope) == ()
        with pytest.raises(Refused, match="what is left is locked, skipped or without a caption"):
            studio.service.rendering.render(project, scope)
    for name in ("locked", "skipped", "unwritten", "gone"):
        with pytest.raises(Refused, match="this shot cannot be rendered"):
            studio.service.rendering.reroll(project, name)
    empty = studio.service.projects.create(Storyboard(title="Empty"))
    with pytest.raises(Refused, match="there are no shots yet"):
        studio.service.rendering.render(empty)


def test_rolls_are_takes_of_other_seeds_and_leave_the_shot_fresh(studio: Studio) -> None:
    project = studio.rendered()
    assert len(studio.service.rendering.reroll(project, "c", count=3)) == 3
    studio.work()
    state = studio.service.projects.state(project)
    takes = shot(state, "c").takes
    assert len({take.seed for take in takes}) == len(takes) == 4
    assert [take.chosen for take in takes] == [True, False, False, False]  # they are to choose from
    assert [s.state for s in state.shots] == ["fresh"] * 3
    for take in takes:
        chosen = studio.service.editing.edit(project, Choose(shot="c", take=take.id), base=state.revision)
        assert shot(chosen, "c").state == "fresh"
        state = chosen


def test_a_rolled_shot_keeps_its_seed_when_it_is_rendered_anew(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "c", seed=5)
    studio.work()
    studio.service.editing.edit(project, SetCaption(shot="c", caption="Mira and Otto sit"), base=0)
    studio.service.rendering.render(project)
    studio.work()
    state = studio.service.projects.state(project)
    assert [take.seed for take in shot(state, "c").takes if take.chosen] == [5]
    assert shot(state, "c").state == "fresh"


@pytest.mark.parametrize(("count", "seed"), [(0, None), (9, None), (1, -1), (1, 2**63)])
def test_rolls_have_bounds(studio: Studio, count: int, seed: int | None) -> None:
    project = studio.service.projects.create(BOARD)
    with pytest.raises(Refused):
        studio.service.rendering.reroll(project, "a", count=count, seed=seed)
    assert studio.service.queue.state().jobs == ()


def test_a_model_that_is_not_there_is_told_by_the_job(studio: Studio) -> None:
    project = studio.rendered()
    missing = SetSettings(settings=Settings(model="/no/such/folder"))
    away = studio.service.editing.edit(project, missing, base=0)
    assert {s.state for s in away.shots} == {"outdated"}
    assert not any(s.unknown for s in away.shots)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    failed = studio.service.queue.state().jobs[0]
    assert failed.state == "failed"
    assert failed.error is not None
    assert "there is no folder /no/such/folder" in failed.error


# the queue


def test_jobs_wait_move_and_end(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    a, b, c = studio.service.rendering.render(project)
    studio.service.queue.pause(True)
    assert studio.service.queue.state().paused
    studio.work()
    assert [job.state for job in studio.service.queue.state().jobs] == ["queued"] * 3
    studio.service.queue.move(c, a)
    studio.service.queue.cancel(b)
    assert [(job.id, job.state) for job in studio.service.queue.state().jobs] == [
        (c, "queued"),
        (a, "queued"),
        (b, "cancelled"),
    ]
    studio.service.queue.pause(False)
    studio.service.queue.retry(b)
    studio.work()
    assert [(job.id, job.state) for job in studio.service.queue.state().jobs] == [
        (b, "done"),
        (a, "done"),
        (c, "done"),
    ]
    studio.service.queue.clear()
    assert studio.service.queue.state().jobs == ()


def test_a_failed_job_tells_why(tmp_path: Path, database: Database) -> None:
    def fail(shot: int, step: int) -> None:
        raise OutOfMemory("a smaller size needs less")

    studio = Studio(tmp_path, database, FakeRenderer(fail))
    project = studio.service.projects.create(BOARD)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    (job,) = studio.service.queue.state().jobs
    assert (job.state, job.error, job.index, job.title) == ("failed", "a smaller size needs less", 0, "Test")


def test_a_dead_workers_job_waits_again(tmp_path: Path, database: Database) -> None:
    seen: list[str] = []

    def die(shot: int, step: int) -> None:
        seen.append(here.service.queue.state().jobs[0].state)
        here.service.queue.worker_died("w")
        seen.append(here.service.queue.state().jobs[0].state)

    here = Studio(tmp_path, database, FakeRenderer(die))
    project = here.service.projects.create(BOARD)
    here.service.rendering.render(project, ("a",))
    here.work()
    assert seen[:2] == ["running", "queued"]
    (job,) = here.service.queue.state().jobs
    assert (job.state, job.attempts) == ("parked", 2)
    here.service.queue.worker_died("nobody")


def test_a_preview_is_there_while_it_is_drawn(tmp_path: Path, database: Database) -> None:
    seen: list[bytes] = []

    def look(shot: int, step: int) -> None:
        if step:
            seen.append(studio.service.queue.preview(job))

    studio = Studio(tmp_path, database, FakeRenderer(look, preview=b"picture"))
    (job,) = studio.service.rendering.render(studio.service.projects.create(BOARD), ("a",))
    with pytest.raises(NotThere, match="there is no picture of that job"):
        studio.service.queue.preview(job)
    studio.work()
    assert seen == [b"picture"] * 3


# files


def test_takes_have_their_files(studio: Studio) -> None:
    project = studio.rendered()
    take = shot(studio.service.projects.state(project), "a").take
    assert take is not None
    for kind, suffix in MEDIA.items():
        assert studio.service.files.media(project, take, kind).suffix == suffix
    for kind in ("id", "inputs", "", "../clip", "clip.mp4"):
        with pytest.raises(NotThere):
            studio.service.files.media(project, take, kind)
    other = studio.service.projects.create(BOARD)
    with pytest.raises(NotThere):
        studio.service.files.media(other, take, "clip")
    studio.service.files.media(project, take, "clip").unlink()
    with pytest.raises(NotThere, match="the clip of this take is missing"):
        studio.service.files.media(project, take, "clip")


def test_a_locked_shot_without_a_take_is_rendered(studio: Studio) -> None:
    shot = Shot(id="locked", caption="Mira waves", lock=True)
    project = studio.service.projects.create(replace(BOARD, shots=(shot,)))
    studio.service.rendering.render(project)
    studio.work()
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["fresh"]


def test_locked_and_skipped_while_it_waits(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    studio.service.rendering.render(project)
    studio.work()
    studio.service.queue.clear()
    studio.service.rendering.render(project, "all")
    studio.service.editing.edit(project, Lock(shots=("a",), on=True), base=0)
    studio.service.editing.edit(project, Skip(shots=("b",), on=True), base=1)
    studio.work()
    assert [job.error for job in studio.service.queue.state().jobs] == [
        None,
        "the shot is skipped",
        "the shot is locked",
    ]


def test_a_stamp_changes_with_whatever_is_shown(studio: Studio) -> None:
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


def test_a_state_at_hand_is_that_which_is(studio: Studio, tmp_path: Path, database: Database) -> None:
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


def test_unknown_words_are_told_as_they_are_typed(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    (span,) = studio.service.editing.unknown_words(project, "Mira waves in the meadwo")
    assert (span.start, span.stop, span.suggestion) == (18, 24, "meadow")
    assert studio.service.editing.unknown_words(project, "  ") == ()
    settings = Settings(model="Wan-AI/Wan2.2-TI2V-5B-Diffusers")
    studio.service.editing.edit(project, SetSettings(settings=settings), base=0)
    assert studio.service.editing.unknown_words(project, "meadwo") == ()


def test_the_cut_is_exported(studio: Studio) -> None:
    project = studio.rendered()
    for kind in EXPORTS:
        file = studio.service.files.export(project, kind)
        assert file.stat().st_size > 0
        assert file.suffix == Path(kind).suffix
    assert "Mira waves" in studio.service.files.export(project, "subtitles.srt").read_text()
    with pytest.raises(NotThere, match="there is no export called film\\.gif"):
        studio.service.files.export(project, "film.gif")
    studio.service.editing.edit(project, AddShot(caption="Mira rests"), base=0)
    with pytest.raises(Refused, match="shot 4 has no take yet"):
        studio.service.files.export(project, "film.mp4")
    with pytest.raises(NotThere):
        studio.service.files.export("gone", "film.mp4")


def test_a_bundle_is_the_project_elsewhere(studio: Studio, tmp_path: Path) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "b")
    studio.work()
    bundle = studio.service.files.export(project, BUNDLE)
    elsewhere = tmp_path / "elsewhere"
    database = open_database(elsewhere)
    other = Studio(elsewhere, database)
    again = other.service.files.import_bundle(bundle)
    assert other.service.projects.state(again).shots == studio.service.projects.state(project).shots
    assert other.service.files.export(again, BUNDLE).read_bytes() == bundle.read_bytes()
    database.close()


def test_a_damaged_bundle_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    bundle = tmp_path / "bad.mocz"
    bundle.write_bytes(studio.service.files.export(studio.rendered(), BUNDLE).read_bytes()[:-200])
    before = len(studio.service.projects.all())
    with pytest.raises(BadBundle):
        studio.service.files.import_bundle(bundle)
    assert len(studio.service.projects.all()) == before
    assert not list((tmp_path / "scratch").iterdir())


def test_a_backup_opens_as_a_studio(studio: Studio, tmp_path: Path) -> None:
    project = studio.service.projects.create(BOARD)
    copy = studio.service.files.back_up()
    other = tmp_path / "other"
    other.mkdir()
    copy.rename(other / "studio.db")
    database = open_database(other)
    assert Studio(other, database).service.projects.storyboard(project) == BOARD
    database.close()


def test_undo_brings_back_the_takes_that_were_there(studio: Studio) -> None:
    project = studio.rendered()
    before = studio.service.projects.state(project)
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira jumps"), base=0)
    studio.service.rendering.render(project)
    studio.work()
    changed = studio.service.projects.state(project)
    assert changed.shots[0].take != before.shots[0].take
    back = studio.service.editing.undo(project, base=1)
    assert [shot.take for shot in back.shots] == [shot.take for shot in before.shots]
    assert {shot.state for shot in back.shots} == {"fresh"}
    again = studio.service.editing.redo(project, base=2)
    assert [shot.take for shot in again.shots] == [shot.take for shot in changed.shots]


def test_a_take_chosen_by_a_person_stays(studio: Studio) -> None:
    project = studio.rendered()
    first = studio.service.projects.state(project).shots[0].take
    assert first is not None
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira jumps"), base=0)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    chosen = studio.service.editing.edit(project, Choose(shot="a", take=first), base=1)
    assert (chosen.shots[0].take, chosen.shots[0].state) == (first, "outdated")


def test_names_play_where_no_cast_is_listed(studio: Studio) -> None:
    board = Storyboard(title="x", shots=(Shot(id="a", caption="Pip waves"),))
    project = studio.service.projects.create(board)
    assert studio.service.projects.state(project).shots[0].unknown == ()
    assert studio.service.editing.unknown_words(project, "Zork waves") == ()
    studio.service.rendering.render(project)
    studio.work()
    state = studio.service.projects.state(project)
    assert state.cast == ()
    assert state.shots[0].state == "fresh"


def test_a_shot_that_says_itself_what_a_look_said_keeps_its_take(studio: Studio) -> None:
    project = studio.rendered()
    service = studio.service
    before = service.projects.state(project)
    without_looks = SetCast(cast=(CastMember(name="Mira"), CastMember(name="Otto")))
    service.editing.edit(project, without_looks, before.revision)
    told = SetCaption(shot="a", caption="Mira waves. Mira is red.")
    after = service.editing.edit(project, told, before.revision + 1)  # what the model reads is the same
    assert shot(after, "a").take == shot(before, "a").take
    assert shot(after, "a").reasons == ("caption changed",)


def test_yaml_gives_a_rolled_take_again(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "b", seed=77)
    studio.work()
    board = parse_storyboard(studio.service.projects.export_yaml(project), "again.yaml")
    assert [shot.seed for shot in board.shots] == [None, 77, None]
