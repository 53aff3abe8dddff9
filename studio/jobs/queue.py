"""The durable queue: jobs in the database, claimed by workers under a lease.

Each function is part of the caller's transaction; `now` is the time in seconds since 1970. A worker whose
lease ran out finds its fence stale: nothing it says of the job counts any longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from studio.domain.errors import LostClaim, NotThere, Refused
from studio.jobs.job import FINISHED, LEASE, RETRIED, Claim, Job, Order, Progress, State, after_loss
from studio.store.tables import JobRow, PreviewRow, SettingRow

_PAUSED: Final = "queue paused"
LOST: Final = (
    "the renderer stopped twice while at this shot; try again, or with fewer steps or a smaller size"
)


def enqueue(session: Session, project: str, orders: Sequence[Order], now: float) -> list[int]:
    """Puts orders at the end of the queue, in order; returns the jobs' ids.

    A shot that waits with the same wish already keeps its place and gets no second job.
    """
    last = session.scalar(select(func.max(JobRow.place))) or 0.0
    waiting = {
        (row.shot, row.asked.get("seed"), row.asked.get("keep_context"))
        for row in session.scalars(select(JobRow).where(JobRow.project == project, JobRow.state == "queued"))
    }
    wanted: dict[tuple[object, ...], Order] = {}
    for order in orders:
        wanted.setdefault((order.shot, order.seed, order.keep_context), order)
    rows = [
        JobRow(
            project=project,
            shot=order.shot,
            place=last + number,
            state="queued",
            asked={"seed": order.seed, "keep_context": order.keep_context, "replace": order.replace},
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
    query = select(JobRow, PreviewRow.number).join(PreviewRow, isouter=True).order_by(JobRow.place, JobRow.id)
    if project is not None:
        query = query.where(JobRow.project == project)
    return [_job(row, picture or 0) for row, picture in session.execute(query)]


def claim(session: Session, worker: str, now: float, lease: float = LEASE) -> Claim | None:
    """The first job that waits, now this worker's; None where none does or the queue is paused.

    A shot remembers those before it: of a project one job runs at a time, besides takes that see what an
    earlier one saw.
    """
    reclaim(session, now)
    if is_paused(session):
        return None
    busy = select(JobRow.project).where(JobRow.state == "running")
    alone = or_(JobRow.asked["keep_context"].as_boolean(), JobRow.project.not_in(busy))
    waiting = select(JobRow).where(JobRow.state == "queued", alone)
    row = session.scalars(waiting.order_by(JobRow.place, JobRow.id).limit(1)).first()
    if row is None:
        return None
    row.state = "running"
    row.worker = worker
    row.fence += 1
    row.attempts += 1
    row.lease_until = now + lease
    row.started = now
    row.progress = None
    row.error = None
    session.execute(delete(PreviewRow).where(PreviewRow.job == row.id))
    return Claim(
        job=row.id, project=row.project, order=_order(row), worker=worker, fence=row.fence, lease=lease
    )


def reclaim(session: Session, now: float) -> list[int]:
    """Takes jobs from workers that gave no sign of life within their lease; returns them."""
    lost = session.scalars(select(JobRow).where(JobRow.state == "running", JobRow.lease_until < now))
    return [_lose(session, row, now) for row in lost]


def worker_died(session: Session, worker: str, now: float) -> list[int]:
    """Takes the jobs of a worker that is known to be dead at once; returns them."""
    lost = session.scalars(select(JobRow).where(JobRow.state == "running", JobRow.worker == worker))
    return [_lose(session, row, now) for row in lost]


def is_silent(session: Session, worker: str, now: float) -> bool:
    """Whether a worker holds a job and gave no sign of life within its lease."""
    lapsed = select(JobRow.id).where(
        JobRow.state == "running", JobRow.worker == worker, JobRow.lease_until < now
    )
    return session.scalars(lapsed.limit(1)).first() is not None


def beat(session: Session, claim: Claim, now: float) -> bool:
    """A sign of life; whether the job is to go on, which it is not once somebody cancelled it.

    Raises `LostClaim`.
    """
    row = _held(session, claim)
    row.lease_until = now + claim.lease
    return not row.cancelled


def report(session: Session, claim: Claim, progress: Progress, picture: bytes | None, now: float) -> bool:
    """How far a job is, with a new preview (PNG) where there is one; answers and raises as `beat`."""
    row = _held(session, claim)
    row.progress = asdict(progress)
    row.lease_until = now + claim.lease
    if picture is not None:
        preview = session.get(PreviewRow, claim.job)
        if preview is None:
            session.add(PreviewRow(job=claim.job, number=1, picture=picture))
        else:
            preview.number += 1
            preview.picture = picture
    return not row.cancelled


def finish(session: Session, claim: Claim, take: str, now: float) -> None:
    """The job is done: `take` is its take. Raises `LostClaim`."""
    _end(session, claim, "done", now, take=take)


def fail(session: Session, claim: Claim, error: str, now: float) -> None:
    """The job cannot be done, for a reason that trying again would not change. Raises `LostClaim`."""
    _end(session, claim, "failed", now, error=error)


def give_up(session: Session, claim: Claim, now: float) -> None:
    """The job ends as somebody cancelled it. Raises `LostClaim`."""
    _end(session, claim, "cancelled", now)


def hand_back(session: Session, claim: Claim, now: float) -> None:
    """The worker goes, through no fault of the job's: it waits again, as if never tried.

    One that somebody cancelled ends. Raises `LostClaim`.
    """
    row = _held(session, claim)
    if row.cancelled:
        _end(session, claim, "cancelled", now)
        return
    row.state = "queued"
    row.attempts -= 1
    _let_go(session, row)


def cancel(session: Session, job: int, now: float) -> None:
    """Ends a job: at once where it waits, within a step where it runs. Raises `NotThere`."""
    row = _row(session, job)
    if row.state == "queued":
        row.state = "cancelled"
        row.finished = now
    elif row.state == "running":
        row.cancelled = True


def retry(session: Session, job: int) -> None:
    """Lets a job that failed, was cancelled or parked wait again, at the end. Raises `Refused`."""
    row = _row(session, job)
    if row.state not in RETRIED:
        raise Refused("only what failed, was cancelled or set aside can be tried again")
    row.state = "queued"
    row.place = (session.scalar(select(func.max(JobRow.place))) or 0.0) + 1.0
    row.attempts = 0
    row.cancelled = False
    row.error = row.finished = row.progress = None


def move(session: Session, job: int, before: int | None) -> None:
    """Lets a waiting job run before another, or last where None. Raises `Refused` where it waits no more."""
    row = _row(session, job)
    if row.state != "queued":
        raise Refused("only what waits can be moved")
    if before == job:
        return
    waiting = [
        other
        for other in session.scalars(
            select(JobRow).where(JobRow.state == "queued").order_by(JobRow.place, JobRow.id)
        )
        if other.id != job
    ]
    at = next((index for index, other in enumerate(waiting) if other.id == before), len(waiting))
    order = [*waiting[:at], row, *waiting[at:]]
    places = sorted(other.place for other in order)
    for other, place in zip(order, places, strict=True):
        other.place = place


def clear(session: Session, project: str | None = None) -> None:
    """Forgets finished jobs, all or those of one project."""
    gone = delete(JobRow).where(JobRow.state.in_(FINISHED))
    session.execute(gone if project is None else gone.where(JobRow.project == project))


def set_paused(session: Session, paused: bool) -> None:
    """A paused queue hands out no jobs; what runs goes on."""
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


def note_claimed(session: Session, claim: Claim, claimed: dict[str, object]) -> None:
    """Keeps with the job what stood there when it was claimed. Raises `LostClaim`."""
    _held(session, claim).claimed = claimed


def _lose(session: Session, row: JobRow, now: float) -> int:
    row.state = "cancelled" if row.cancelled else after_loss(row.attempts)
    _let_go(session, row)
    if row.state != "queued":
        row.finished = now
        row.error = LOST if row.state == "parked" else None
    return row.id


def _end(
    session: Session,
    claim: Claim,
    state: State,
    now: float,
    *,
    take: str | None = None,
    error: str | None = None,
) -> None:
    row = _held(session, claim)
    row.state, row.take, row.error, row.finished = state, take, error, now
    _let_go(session, row)


def _let_go(session: Session, row: JobRow) -> None:
    row.worker = row.lease_until = row.progress = None
    session.execute(delete(PreviewRow).where(PreviewRow.job == row.id))


def _held(session: Session, claim: Claim) -> JobRow:
    row = session.get(JobRow, claim.job)
    if row is None or (row.state, row.worker, row.fence) != ("running", claim.worker, claim.fence):
        raise LostClaim(f"job {claim.job} is no longer this worker's")
    return row


def _row(session: Session, job: int) -> JobRow:
    row = session.get(JobRow, job)
    if row is None:
        raise NotThere("that job is not there any more")
    return row


def _order(row: JobRow) -> Order:
    return Order(
        shot=row.shot,
        reason=row.reason,
        seconds=row.seconds,
        seed=row.asked.get("seed"),
        keep_context=row.asked.get("keep_context", False),
        replace=row.asked.get("replace", True),
    )


def _job(row: JobRow, picture: int) -> Job:
    state: State = row.state  # type: ignore[assignment]
    return Job(
        id=row.id,
        project=row.project,
        order=_order(row),
        place=row.place,
        state=state,
        attempts=row.attempts,
        progress=None if row.progress is None else Progress(**row.progress),
        picture=picture,
        error=row.error,
        take=row.take,
        created=row.created,
        started=row.started,
        finished=row.finished,
    )
