"""Carrying out a studio's jobs from the command line, in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from studio.service.job_state import JobState
    from studio.service.studio import Service
    from studio.worker.renderers import MakeRenderer

IDLE: Final = 0.2
"""Seconds between two looks at jobs that this process cannot carry out now."""


def print_end(job: JobState) -> None:
    """Says on stderr how a job ended."""
    index = "a deleted shot" if job.index is None else f"shot {job.index + 1}"
    print(f"{index}: {job.state}" + (f", {job.error}" if job.error else ""), file=sys.stderr)


def print_notice(notice: str) -> None:
    print(notice, file=sys.stderr)


def work_off(
    service: Service,
    jobs: Collection[int],
    make_renderer: MakeRenderer,
    *,
    finished: Callable[[JobState], None] = print_end,
    notify: Callable[[str], None] = print_notice,
) -> list[JobState]:
    """Works until these jobs have ended, and returns them; other workers may take some of them.

    `finished` is called with each job that ended, `notify` with what the work waits for. A job that was
    cleared from the queue meanwhile is "done" if its shot has a new take, and else "cleared". An interrupt
    hands the current job back to the queue and raises `Interrupted`.
    """
    from studio.cli.interrupts import cancelled_by_signals
    from studio.domain.errors import Interrupted
    from studio.worker.worker import Worker

    followed = _Followed(service, jobs)
    worker = Worker(
        service.root,
        make_renderer,
        database=service.database,
        name=f"command-{os.getpid()}",
        artifacts=service.artifacts,
    )
    paused = False
    with cancelled_by_signals() as cancel:
        worker.stop = cancel
        while True:
            for job in followed.newly_ended():
                finished(job)
            if followed.all_ended:
                return followed.states
            if cancel.is_set():
                raise Interrupted("interrupted; what is not done waits in the studio's queue")
            if worker.work_once():
                continue
            if service.queue.is_paused() and not followed.some_run and not paused:
                notify("the queue is paused; waiting until it is resumed in the browser (Ctrl-C ends)")
            paused = service.queue.is_paused()
            followed.cancel_those_in_the_bin()
            cancel.wait(IDLE)


class _Followed:
    """Jobs that are followed until all of them have ended, whatever becomes of them."""

    def __init__(self, service: Service, jobs: Collection[int]) -> None:
        self._service = service
        self._states: dict[int, JobState | None] = dict.fromkeys(jobs)
        self._states.update({job.id: job for job in service.queue.jobs(jobs)})
        self._ended: set[int] = set()
        projects = {job.project for job in self._states.values() if job is not None}
        self._takes = {name: self._takes_of(name) for name in projects}

    @property
    def states(self) -> list[JobState]:
        return [job for job in self._states.values() if job is not None]

    @property
    def all_ended(self) -> bool:
        return len(self._ended) == len(self._states)

    @property
    def some_run(self) -> bool:
        return any(job.state == "running" for job in self.states)

    def newly_ended(self) -> list[JobState]:
        """The jobs that ended since the last call."""
        waiting = [number for number in self._states if number not in self._ended]
        there = {job.id: job for job in self._service.queue.jobs(waiting)}
        ended = []
        for number in waiting:
            job = there.get(number) or self._cleared(number)
            self._states[number] = job
            if job.state not in ("queued", "running"):
                self._ended.add(number)
                ended.append(job)
        return ended

    def cancel_those_in_the_bin(self) -> None:
        """No worker takes up a job of a project in the bin."""
        waiting = {job.project: job.id for job in self.states if job.state == "queued"}
        for project in self._service.projects.all() if waiting else ():
            if project.trashed is not None and project.id in waiting:
                self._service.queue.cancel(waiting[project.id])

    def _cleared(self, number: int) -> JobState:
        """A job that is in the queue no more, of which only the end is cleared away."""
        last = self._states[number]
        if last is None:  # it was cleared before it was seen
            return _unseen(number)
        made = self._takes_of(last.project) - self._takes.get(last.project, frozenset())
        if any(shot == last.shot for shot, _ in made):
            return replace(last, state="done")
        return replace(last, state="cleared", error="it ended without a take and was cleared from the queue")

    def _takes_of(self, project: str | None) -> frozenset[tuple[str, str]]:
        """The (shot, take) of a project; none where it was deleted."""
        from studio.domain.errors import NotThere

        if project is None:
            return frozenset()
        try:
            shots = self._service.projects.state(project).shots
        except NotThere:
            return frozenset()
        return frozenset((shot.id, take.id) for shot in shots for take in shot.takes)


def _unseen(number: int) -> JobState:
    from studio.service.job_state import JobState

    return JobState(
        id=number,
        kind="render",
        project=None,
        title="",
        shot=None,
        lane=None,
        model=None,
        footage=None,
        index=None,
        state="cleared",
        superseded=False,
        reason="",
        seconds=0.0,
        stage=None,
        step=0,
        steps=0,
        seconds_left=None,
        picture=0,
        error="it was cleared from the queue",
        error_code=None,
        attempts=0,
    )
