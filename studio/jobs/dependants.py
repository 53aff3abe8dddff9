"""Waiting renders that build on one which gives no take: they are stopped with it.

    the render of shot 2 is cancelled or fails, and shot 2 has no take
      ─► waiting renders that need its take, or come later and have it in their context, are cancelled
      ─► they are queued again with it when it is tried again

A shot with an earlier take stops nothing: others are rendered with that. Functions are part of the caller's
transaction.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.messages import Message, message
from studio.domain.project import Project
from studio.domain.render_graph import Render, has_in_context, has_take, needed_renders
from studio.jobs.order import RenderOrder
from studio.jobs.rows import order_of, problem_of, set_problem
from studio.store import projects
from studio.store.tables import JobRow

_REASONS: Final = {
    "cancelled": "job-after-cancelled",
    "failed": "job-after-failed",
    "parked": "job-after-failed",
}
"""Why a render is stopped, by the state of the one that it builds on."""


def stop_dependants(session: Session, ended: JobRow) -> None:
    """Cancels the renders that wait for the take of a render which ended without one."""
    order = order_of(ended)
    if not isinstance(order, RenderOrder) or ended.project is None or ended.state not in _REASONS:
        return
    project = projects.project_of(session, ended.project)
    others = _renders(session, ended.project)
    first = order.shot, order.lane
    if has_take(project, first) or any((other.shot, other.lane) == first for _, other in others):
        return
    waiting = [(row, other) for row, other in others if row.state == "queued" and not other.keep_context]
    missing = {first: ended.position}
    while (found := _next(project, waiting, missing)) is not None:
        row, needed = found
        row.state, row.finished = "cancelled", ended.finished
        set_problem(row, message(_REASONS[ended.state], what=_named(project, needed), job=ended.id))
        stopped = next(pair for pair in waiting if pair[0] is row)
        waiting.remove(stopped)
        render = stopped[1].shot, stopped[1].lane
        if not has_take(project, render):
            missing.setdefault(render, row.position)


def stopped_with(session: Session, job: JobRow) -> list[JobRow]:
    """The renders that were stopped because this one ended, in the order of the queue."""
    stopped = select(JobRow).where(JobRow.state == "cancelled", JobRow.project == job.project)
    rows = session.scalars(stopped.order_by(JobRow.position, JobRow.id))
    return [row for row in rows if _stopped_by(row) == job.id]


def _next(
    project: Project, waiting: list[tuple[JobRow, RenderOrder]], missing: dict[Render, float]
) -> tuple[JobRow, Render] | None:
    """The first waiting render that builds on a missing one, and that one; `missing` has their positions."""
    for row, order in waiting:
        needed = set(needed_renders(project, order))
        for render, position in missing.items():
            later = row.position > position
            source, lane = render
            seen = lane == order.lane and has_in_context(project, order.shot, source)
            if render in needed or (later and seen):
                return row, render
    return None


def _stopped_by(row: JobRow) -> object:
    problem = problem_of(row)
    return problem.params["job"] if problem is not None and problem.code in _REASONS.values() else None


def _renders(session: Session, project: str) -> list[tuple[JobRow, RenderOrder]]:
    """The renders that wait or run, in the order of the queue."""
    rows = session.scalars(
        select(JobRow)
        .where(JobRow.project == project, JobRow.kind == "render", JobRow.state.in_(("queued", "running")))
        .order_by(JobRow.position, JobRow.id)
    )
    return [(row, order) for row in rows if isinstance(order := order_of(row), RenderOrder)]


def _named(project: Project, render: Render) -> Message:
    shot, lane = render
    index = project.index_of(shot)
    assert index is not None
    return message("the-draft" if lane == "draft" and project.has_lanes else "the-shot", shot=index + 1)
