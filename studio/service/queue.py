"""The render queue for views and the supervisor: its jobs, their order, pausing, cancelling."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from studio.domain.errors import NotThere
from studio.domain.messages import message
from studio.domain.project import Project
from studio.jobs import claims, queue
from studio.jobs.job import Job
from studio.service.job_state import JobState, job_state, job_states
from studio.service.models import Models
from studio.service.state import stamp_of
from studio.store import projects, takes
from studio.store.database import Database


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """The queue as views show it."""

    paused: bool
    jobs: tuple[JobState, ...]


@dataclass(frozen=True, kw_only=True)
class ProjectStatus:
    """What a page polls: the queue, and a stamp that changes with its project."""

    stamp: str
    queue: QueueState


class Queue:
    """Shows the queue and changes it. Methods that name a job raise `NotThere` if it is gone."""

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._models = models

    def state(self) -> QueueState:
        """All jobs that run or wait, and those that ended lately, of all projects."""
        with self._database.read() as session:
            return _state(session)

    def project_status(self, project: str) -> ProjectStatus:
        """The queue, and a stamp that changes whenever the project does."""
        with self._database.read() as session:
            stored = projects.load(session, project)
            model = self._models.of(stored.project)
            stamp = stamp_of(stored, takes.strips_of(session, project), model)
            return ProjectStatus(stamp=stamp, queue=_state(session))

    def jobs(self, jobs: Collection[int]) -> list[JobState]:
        """These jobs, without those that were cleared."""
        with self._database.read() as session:
            there = [job for job in queue.jobs_of(session) if job.id in jobs]
            known = _projects_of(session, there)
        return [job_state(job, known.get(job.project)) for job in there]

    def cancel(self, job: int) -> None:
        """Cancels a job: at once if it waits, within a step if it runs."""
        self._database.transact(lambda session: queue.cancel(session, job))

    def retry(self, job: int) -> None:
        """Queues a job again that failed, was cancelled or parked."""
        self._database.transact(lambda session: queue.retry(session, job))

    def move(self, job: int, before: int | None) -> None:
        """Moves a waiting job before another, or to the end if None."""
        self._database.transact(lambda session: queue.move(session, job, before))

    def is_paused(self) -> bool:
        with self._database.read() as session:
            return queue.is_paused(session)

    def pause(self, paused: bool) -> None:
        """Pauses the queue, or resumes it. What runs goes on."""
        self._database.transact(lambda session: queue.set_paused(session, paused))

    def clear(self) -> None:
        """Removes the jobs that ended."""
        self._database.transact(lambda session: queue.clear(session))

    def remove_all(self) -> None:
        """Removes all jobs, also those that a worker still holds."""
        self._database.transact(lambda session: queue.remove_all(session))

    def preview(self, job: int) -> bytes:
        """The latest preview picture of a running job, PNG."""
        with self._database.read() as session:
            picture = queue.preview(session, job)
        if picture is None:
            raise NotThere(message("preview-not-found"))
        return picture

    def worker_died(self, worker: str) -> None:
        """Queues the jobs of a dead worker again, or parks them."""
        self._database.transact(lambda session: claims.worker_died(session, worker))

    def worker_stopped(self, worker: str) -> None:
        """Queues the jobs of a worker that was told to end again, as if it had not tried them."""
        self._database.transact(lambda session: claims.worker_stopped(session, worker))

    def worker_is_silent(self, worker: str) -> bool:
        """Whether a worker has a job and sent no heartbeat for longer than its lease."""
        with self._database.read() as session:
            return claims.is_silent(session, worker)


def _state(session: Session) -> QueueState:
    jobs = queue.jobs_of(session)
    return QueueState(paused=queue.is_paused(session), jobs=job_states(jobs, _projects_of(session, jobs)))


def _projects_of(session: Session, jobs: Iterable[Job]) -> dict[str | None, Project]:
    """The projects that jobs belong to, by id."""
    names = {job.project for job in jobs if job.project is not None}
    return {name: projects.project_of(session, name) for name in names}
