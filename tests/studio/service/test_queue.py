"""The queue as views see it, with a worker that draws flat colours."""

from dataclasses import replace
from pathlib import Path

import pytest

from moc_engine.errors import OutOfMemory
from studio.domain.edits.timeline import Delete, Lock, Skip
from studio.domain.errors import NotThere
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.renderer import FakeRenderer


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def test_jobs_are_moved_paused_cancelled_and_cleared(studio: Studio) -> None:
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


def test_a_failed_job_has_an_error(tmp_path: Path, database: Database) -> None:
    def fail(shot: int, step: int) -> None:
        raise OutOfMemory("a smaller size needs less")

    studio = Studio(tmp_path, database, FakeRenderer(fail))
    project = studio.service.projects.create(BOARD)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    (job,) = studio.service.queue.state().jobs
    assert (job.state, job.error, job.index, job.title) == ("failed", "a smaller size needs less", 0, "Test")


def test_the_job_of_a_dead_worker_is_queued_again(tmp_path: Path, database: Database) -> None:
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


def test_a_running_job_has_a_preview(tmp_path: Path, database: Database) -> None:
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


def test_shots_locked_or_skipped_while_they_wait_are_not_rendered(studio: Studio) -> None:
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


def test_jobs_name_their_model_and_lane(studio: Studio) -> None:
    settings = replace(BOARD.settings, model="/models/wan2.1.safetensors")
    project = studio.service.projects.create(replace(BOARD, settings=settings))
    studio.service.rendering.render(project, ("a",))
    studio.service.rendering.render(project, ("a",), lane="draft")
    studio.service.library.download("maker/video@1")
    jobs = studio.service.queue.state().jobs
    assert [(job.lane, job.model) for job in jobs] == [
        ("final", "wan2.1"),
        ("draft", "animatic"),
        (None, "video"),
    ]


def test_a_job_that_ended_is_superseded_by_a_later_one_of_its_shot(
    tmp_path: Path, database: Database
) -> None:
    wrong = [True]

    def fail(shot: int, step: int) -> None:
        if wrong[0]:
            raise OutOfMemory("a smaller size needs less")

    studio = Studio(tmp_path, database, FakeRenderer(fail))
    service = studio.service
    project = service.projects.create(BOARD)

    def states() -> list[tuple[int, str, bool]]:
        return [(job.id, job.state, job.superseded) for job in service.queue.state().jobs]

    (first,) = service.rendering.render(project, ("a",))
    studio.work()
    assert states() == [(first, "failed", False)]
    wrong[0] = False
    (second,) = service.rendering.render(project, ("a",))
    (other,) = service.rendering.render(project, ("b",))
    assert states() == [(second, "queued", False), (other, "queued", False), (first, "failed", True)]
    studio.work()
    assert (first, "failed", True) in states()
    service.editing.edit(project, Delete(shots=("b",)), base=0)
    assert (other, "done", True) in states()


def test_shots_after_a_cancelled_one_are_stopped_with_the_reason(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    a, b, c = studio.service.rendering.render(project)
    studio.service.queue.cancel(b)
    studio.work()
    ended = {job.id: (job.state, job.error_code) for job in studio.service.queue.state().jobs}
    assert ended == {a: ("done", None), b: ("cancelled", None), c: ("cancelled", "job-after-cancelled")}
    studio.service.queue.retry(b)
    studio.work()
    assert {job.state for job in studio.service.queue.state().jobs} == {"done"}
