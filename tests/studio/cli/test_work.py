"""Working a studio's jobs off from the command line: every way in which they may end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from studio.cli.work import work_off
from studio.domain.edits.timeline import Delete
from studio.domain.errors import Interrupted
from studio.jobs import claims
from studio.service.job_state import JobState
from studio.store import projects
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.renderer import FakeRenderer

LIMIT = 60.0
PAUSED = "the queue is paused; waiting until it is resumed in the browser (Ctrl-C ends)"


@dataclass
class Work:
    """A studio with two shots to render; `at_first_step` befalls the first render of this process."""

    studio: Studio
    at_first_step: Callable[[], object] = lambda: None
    ended: list[JobState] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    seen: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.service = self.studio.service
        self.project = self.service.projects.create(BOARD)

    def notify(self, notice: str) -> None:
        self.notices.append(notice)
        self.seen.set()

    def run(self, jobs: list[int]) -> list[str]:
        """Works in this thread, as signals need the main one; returns the states in which the jobs ended."""
        left = [self.at_first_step]

        def befall(shot: int, step: int) -> None:
            if left:
                left.pop()()

        done = work_off(
            self.service,
            jobs,
            lambda model: FakeRenderer(befall),
            finished=self.ended.append,
            notify=self.notify,
        )
        assert sorted(job.id for job in self.ended) == sorted(job.id for job in done) == sorted(jobs)
        return [job.state for job in done]


@pytest.fixture
def work(tmp_path: Path, database: Database) -> Work:
    return Work(Studio(tmp_path, database))


def after(event: threading.Event, act: Callable[[], object]) -> threading.Thread:
    """Acts in another thread once the event is set."""

    def wait_and_act() -> None:
        if event.wait(LIMIT):
            act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def test_jobs_that_end_are_told_once_each(work: Work) -> None:
    assert work.run(work.service.rendering.render(work.project, ("a", "b"))) == ["done", "done"]
    assert work.notices == []


def test_a_job_cancelled_and_cleared_in_the_browser_has_ended(work: Work) -> None:
    first, second = work.service.rendering.render(work.project, ("a", "b"))

    def cancel_and_clear() -> None:
        work.service.queue.cancel(second)
        work.service.queue.clear()

    work.at_first_step = cancel_and_clear
    assert work.run([first, second]) == ["done", "cleared"]
    assert work.ended[1].error == "it ended without a take and was cleared from the queue"


def test_a_job_that_another_worker_did_and_somebody_cleared_is_done(work: Work) -> None:
    work.service.rendering.render(work.project, ("a", "b"))
    work.studio.work()
    work.service.queue.clear()
    (first,) = work.service.rendering.reroll(work.project, "a", seed=5)
    (second,) = work.service.rendering.reroll(work.project, "b", seed=6)

    def render_and_clear() -> None:
        work.studio.work()
        work.service.queue.clear()

    work.at_first_step = render_and_clear
    assert work.run([first, second]) == ["done", "done"]


def test_jobs_that_are_gone_from_the_start_have_ended(work: Work) -> None:
    assert work.run([7]) == ["cleared"]


def test_a_paused_queue_is_told_and_waited_for(work: Work) -> None:
    jobs = work.service.rendering.render(work.project, ("a",))
    work.service.queue.pause(True)
    resuming = after(work.seen, lambda: work.service.queue.pause(False))
    assert work.run(jobs) == ["done"]
    resuming.join()
    assert work.notices == [PAUSED]


def test_an_interrupt_ends_the_wait_for_a_paused_queue(work: Work) -> None:
    (job,) = work.service.rendering.render(work.project, ("a",))
    work.service.queue.pause(True)
    interrupting = after(work.seen, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        work.run([job])
    interrupting.join()
    (left,) = work.service.queue.jobs((job,))
    assert (left.state, left.attempts) == ("queued", 0)


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_hands_the_running_job_back(work: Work, interrupts: int) -> None:
    """A second one ends the render at once."""
    (job,) = work.service.rendering.render(work.project, ("a",))

    def interrupt() -> None:
        for _ in range(interrupts):
            signal.raise_signal(signal.SIGINT)

    work.at_first_step = interrupt
    with pytest.raises(Interrupted if interrupts == 1 else KeyboardInterrupt):
        work.run([job])
    (left,) = work.service.queue.jobs((job,))
    assert (left.state, left.attempts) == ("queued", 0)


def test_a_project_moved_to_the_bin_ends_its_jobs(work: Work) -> None:
    jobs = work.service.rendering.render(work.project, ("a", "b"))

    work.at_first_step = lambda: work.service.projects.trash(work.project)
    assert work.run(jobs) == ["cancelled", "cancelled"]


def test_a_job_left_in_the_queue_of_a_project_in_the_bin_is_cancelled(work: Work) -> None:
    jobs = work.service.rendering.render(work.project, ("a",))
    with work.studio.database.write() as session:
        projects.set_trashed(session, work.project, 1.0)
    assert work.run(jobs) == ["cancelled"]


def test_a_deleted_project_ends_its_jobs(work: Work) -> None:
    jobs = work.service.rendering.render(work.project, ("a", "b"))

    def remove() -> None:
        with work.studio.database.write() as session:
            projects.remove(session, work.project)

    work.at_first_step = remove
    assert work.run(jobs) == ["cleared", "cleared"]


def test_a_deleted_shot_ends_its_job(work: Work) -> None:
    jobs = work.service.rendering.render(work.project, ("a", "b"))
    work.at_first_step = lambda: work.service.editing.edit(work.project, Delete(shots=("b",)), base=0)
    assert work.run(jobs) == ["done", "failed"]
    assert work.ended[1].error == "the shot was deleted"


def test_a_job_of_another_worker_that_dies_is_taken_up(work: Work) -> None:
    """Once its lease ran out, without anybody who supervises it."""
    jobs = work.service.rendering.render(work.project, ("a", "b"))
    with work.studio.database.write() as session:
        assert claims.claim(session, "dead", lease=1.0) is not None
    assert work.run(jobs) == ["done", "done"]
    assert [job.attempts for job in work.ended] == [2, 1]


def test_a_job_that_took_down_its_workers_is_parked(work: Work) -> None:
    jobs = work.service.rendering.render(work.project, ("a",))
    for name in ("one", "two"):
        with work.studio.database.write() as session:
            assert claims.claim(session, name) is not None
            claims.worker_died(session, name)
    assert work.run(jobs) == ["parked"]
