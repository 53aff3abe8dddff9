"""The queue as people see it: jobs are added, moved, cancelled, tried again and cleared away.

Each function is part of the caller's transaction; times are those of the database's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from studio.domain.errors import Refused
from studio.domain.messages import message
from studio.jobs.dependants import stop_dependants, stopped_with
from studio.jobs.job import FINISHED, RETRIED, Job
from studio.jobs.order import FootageOrder, KnownOrder, order_to_json
from studio.jobs.rows import job_of, job_row, order_of
from studio.store import projects
from studio.store.clock import database_time
from studio.store.postgresql import lock_orders
from studio.store.tables import JobRow, PreviewRow, SettingRow

_PAUSED: Final = "queue paused"


def enqueue(session: Session, project: str | None, orders: Sequence[KnownOrder]) -> list[int]:
    """Adds jobs to the end of the queue, in order, of a project or of none; returns their ids.

    An order that waits already gets no second job, nor does an analysis or a download that runs. Raises
    `Refused` where the project is in the bin.
    """
    if project is None:
        lock_orders(session)
    else:
        projects.refuse_trashed(session, project)
    last, now = _last_position(session), database_time(session)
    queued = select(JobRow).where(
        JobRow.project.is_(None) if project is None else JobRow.project == project,
        or_(
            JobRow.state == "queued",
            (JobRow.state == "running") & JobRow.kind.in_(("analysis", "download")),
        ),
    )
    waiting = {order_of(row).wish for row in session.scalars(queued)}
    wanted: dict[tuple[object, ...], KnownOrder] = {}
    for order in orders:
        wanted.setdefault(order.wish, order)
    rows = [
        JobRow(
            project=project,
            kind=order.kind,
            shot=order.shot,
            position=last + number,
            state="queued",
            payload=order_to_json(order),
            reason=order.reason,
            seconds=order.seconds,
            created=now,
        )
        for number, (wish, order) in enumerate(wanted.items(), start=1)
        if wish not in waiting
    ]
    session.add_all(rows)
    session.flush()
    return [row.id for row in rows]


def jobs_of(session: Session, project: str | None = None) -> list[Job]:
    """All jobs, or those of one project, in the order they run or ran in."""
    query = (
        select(JobRow, PreviewRow.number).join(PreviewRow, isouter=True).order_by(JobRow.position, JobRow.id)
    )
    if project is not None:
        query = query.where(JobRow.project == project)
    return [job_of(row, picture or 0) for row, picture in session.execute(query)]


def footage_jobs(session: Session) -> dict[str, Job]:
    """The last job that reads each footage, by its id."""
    found: dict[str, Job] = {}
    for row in session.scalars(select(JobRow).where(JobRow.kind == "analysis").order_by(JobRow.id)):
        job = job_of(row, 0)
        if isinstance(job.order, FootageOrder):
            found[job.order.footage] = job
    return found


def cancel(session: Session, job: int) -> None:
    """Ends a job: at once where it waits, at the next step where it runs. Raises `NotThere`."""
    row = job_row(session, job)
    if row.state == "queued":
        row.state = "cancelled"
        row.finished = database_time(session)
        stop_dependants(session, row)
    elif row.state == "running":
        row.cancelled = True


def retry(session: Session, job: int) -> None:
    """Queues a job that failed, was cancelled or parked again, at the end, and the renders that were stopped
    with it. Raises `Refused`, `NotThere`.
    """
    row = job_row(session, job)
    if row.state not in RETRIED:
        raise Refused(message("job-not-ended"))
    if row.project is not None:
        projects.refuse_trashed(session, row.project)
    last = _last_position(session)
    for position, again in enumerate((row, *stopped_with(session, row)), start=1):
        again.state = "queued"
        again.position = last + position
        again.attempts = 0
        again.cancelled = False
        again.problem = again.error = again.finished = again.progress = None


def move(session: Session, job: int, before: int | None) -> None:
    """Moves a waiting job before another one, or to the end where None. Raises `Refused`, `NotThere`."""
    row = job_row(session, job)
    if row.state != "queued":
        raise Refused(message("job-not-waiting"))
    if before == job:
        return
    waiting = [
        other
        for other in session.scalars(
            select(JobRow).where(JobRow.state == "queued").order_by(JobRow.position, JobRow.id)
        )
        if other.id != job
    ]
    at = next((index for index, other in enumerate(waiting) if other.id == before), len(waiting))
    order = [*waiting[:at], row, *waiting[at:]]
    positions = sorted(other.position for other in order)
    for other, position in zip(order, positions, strict=True):
        other.position = position


def clear(session: Session, project: str | None = None) -> None:
    """Removes finished jobs, all or those of one project."""
    finished = delete(JobRow).where(JobRow.state.in_(FINISHED))
    session.execute(finished if project is None else finished.where(JobRow.project == project))


def remove_all(session: Session) -> None:
    """Removes all jobs. A worker that holds one loses it."""
    session.execute(delete(JobRow))


def set_paused(session: Session, paused: bool) -> None:
    """While the queue is paused no job starts; running ones go on."""
    row = session.get(SettingRow, _PAUSED)
    if row is None:
        session.add(SettingRow(name=_PAUSED, value={"on": paused}))
    else:
        row.value = {"on": paused}


def is_paused(session: Session) -> bool:
    row = session.get(SettingRow, _PAUSED)
    return row is not None and bool(row.value["on"])


def preview(session: Session, job: int) -> bytes | None:
    """The latest preview picture of a job, PNG."""
    row = session.get(PreviewRow, job)
    return None if row is None else row.picture


def _last_position(session: Session) -> float:
    return session.scalar(select(func.max(JobRow.position))) or 0.0
