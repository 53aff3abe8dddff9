"""The states of jobs that views show: times in seconds, indices from 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.domain.model_names import model_name
from studio.domain.project import Lane, Project
from studio.jobs.job import FINISHED, Job
from studio.jobs.order import AnalysisOrder, DownloadOrder, FootageOrder, RenderOrder


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A job in the queue, of its kind. `index` is the index of its shot in the project, None if it is gone.

    `model` is the name of the one that it is about or renders with. A job that ended is `superseded` where a
    later one does or did the same, or its shot is gone. Jobs of some kinds have no shot and `lane`, or no
    project; `title` is that of the project, or the name of the `footage` that a job reads.
    """

    id: int
    kind: str
    project: str | None
    title: str
    shot: str | None
    lane: Lane | None
    model: str | None
    footage: str | None
    index: int | None
    state: str
    superseded: bool
    reason: str
    seconds: float
    stage: str | None
    step: int
    steps: int
    seconds_left: float | None
    picture: int
    error: str | None
    error_code: str | None
    attempts: int


def job_states(jobs: Sequence[Job], projects: Mapping[str | None, Project]) -> tuple[JobState, ...]:
    """The jobs that run or wait, and the last that ended; `projects` are those they belong to, by id."""
    waiting = [job for job in jobs if job.state not in FINISHED]
    ended = sorted((job for job in jobs if job.state in FINISHED), key=lambda job: -(job.finished or 0.0))
    shown = [*sorted(waiting, key=lambda job: (job.state != "running", job.position)), *ended[:_ENDED]]
    latest = {_aim(job): job.id for job in sorted((*ended, *waiting), key=_when)}
    return tuple(job_state(job, projects.get(job.project), last=latest[_aim(job)]) for job in shown)


_ENDED = 20
"""Ended jobs that are shown."""


def _aim(job: Job) -> tuple[object, ...]:
    """Equal for jobs of which only the last counts."""
    if isinstance(job.order, RenderOrder):
        return job.project, job.order.shot, job.order.lane
    return (job.project, *job.order.wish)


def _when(job: Job) -> tuple[bool, float, int]:
    """Orders jobs by when they ended; those that have not come last."""
    return job.state not in FINISHED, job.finished or 0.0, job.id


def job_state(job: Job, project: Project | None, *, last: int | None = None) -> JobState:
    """A job, of a project if any; `last` is the one that did the same last."""
    order, progress = job.order, job.progress
    lane = order.lane if isinstance(order, RenderOrder) else None
    index = None if project is None or order.shot is None else project.index_of(order.shot)
    gone = order.shot is not None and index is None
    title = "" if project is None else project.board.title
    return JobState(
        id=job.id,
        kind=order.kind,
        project=job.project,
        title=order.name if isinstance(order, FootageOrder) else title,
        shot=order.shot,
        lane=lane,
        model=_model_of(job, project),
        footage=order.footage if isinstance(order, FootageOrder) else None,
        index=index,
        state=job.state,
        superseded=job.state in FINISHED and (gone or last not in (None, job.id)),
        reason=order.reason,
        seconds=order.seconds,
        stage=None if progress is None else progress.stage,
        step=0 if progress is None else progress.step,
        steps=0 if progress is None else progress.steps,
        seconds_left=None if progress is None else progress.seconds_left,
        picture=job.picture,
        error=job.error,
        error_code=None if job.problem is None else job.problem.code,
        attempts=job.attempts,
    )


def _model_of(job: Job, project: Project | None) -> str | None:
    """The name of the model that a job is about, or renders with, though its project has another by now."""
    order = job.order
    if isinstance(order, AnalysisOrder | DownloadOrder):
        return model_name(order.model)
    if isinstance(order, RenderOrder) and order.model is not None and job.state != "queued":
        return order.model
    if isinstance(order, RenderOrder) and project is not None:
        return model_name(project.in_lane(order.lane).settings.model)
    return None
