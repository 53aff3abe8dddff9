"""The queue as workers see it: a job is claimed under a lease, kept by heartbeats, and ended.

Each function is part of the caller's transaction; times are those of the database's clock. A worker whose
lease ran out has a stale fence: nothing it reports of the job counts any longer.

Each locks the rows of jobs that it changes, for databases with more than one writer. Claims lock the project
of a render too; what others hold is passed over, so that claims never wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Select, and_, delete, or_, select
from sqlalchemy.orm import Session

from studio.domain.errors import LostClaim
from studio.domain.messages import Message, message
from studio.jobs.dependants import stop_dependants
from studio.jobs.dependencies import Ready, project_renders
from studio.jobs.job import LEASE, LOADING_LEASES, Claim, Progress, State, after_loss
from studio.jobs.order import KINDS, Kind, RenderOrder, UnknownOrder
from studio.jobs.queue import is_paused
from studio.jobs.rows import order_of, release, set_problem
from studio.store.clock import database_time
from studio.store.database import lock_project
from studio.store.tables import JobRow, PreviewRow, ProjectRow

LOST: Final = message("job-worker-lost")


def claim(
    session: Session, worker: str, lease: float = LEASE, kinds: Collection[Kind] = KINDS
) -> Claim | None:
    """The first waiting job of these kinds, which is the worker's then; None where the queue is paused too.

    Of a project, a render waits for those whose takes it is to see, and which come before it or are a part of
    its pictures (`studio.domain.render_graph`). Of those that wait for no other the first one begins, or the
    one behind which the most work waits while another render of the project runs. Jobs of projects in the bin
    are passed over, and those that this version cannot read fail.
    """
    reclaim(session)
    if is_paused(session):
        return None
    now = database_time(session)
    while (row := _next(session, kinds)) is not None:
        order = order_of(row)
        if isinstance(order, UnknownOrder):
            row.state, row.finished = "failed", now
            set_problem(row, message("job-kind-unknown", kind=row.kind))
            continue
        row.state = "running"
        row.worker = worker
        row.fence += 1
        row.attempts += 1
        row.lease_until = now + lease
        row.started = now
        row.progress = None
        set_problem(row, None)
        session.execute(delete(PreviewRow).where(PreviewRow.job == row.id))
        return Claim(
            job=row.id, project=row.project, order=order, worker=worker, fence=row.fence, lease=lease
        )
    return None


def is_due(session: Session) -> bool:
    """Whether a claim may find a job: one waits, or its worker was not heard within its lease."""
    due = and_(JobRow.state == "running", JobRow.lease_until < database_time(session))
    if not is_paused(session):
        due = or_(due, JobRow.state == "queued")
    return session.scalars(select(JobRow.id).where(due).limit(1)).first() is not None


def reclaim(session: Session) -> list[int]:
    """Takes jobs from workers without a heartbeat within their lease; returns the jobs."""
    now = database_time(session)
    lapsed = JobRow.state == "running", JobRow.lease_until < now
    found = session.execute(select(JobRow.id, JobRow.project).where(*lapsed)).all()
    lost = [
        row
        for job, project in found
        if project is None or lock_project(session, project, wait=False)
        for row in session.scalars(_free(JobRow.id == job, *lapsed))
    ]
    return [_lose(session, row, now) for row in lost]


def worker_died(session: Session, worker: str) -> list[int]:
    """Takes the jobs of a worker that is known to be dead at once; returns the jobs."""
    now = database_time(session)
    return [_lose(session, row, now) for row in _running(session, worker)]


def worker_stopped(session: Session, worker: str) -> list[int]:
    """Queues the jobs of a worker that was told to end, as if it had not tried them; returns the jobs."""
    now = database_time(session)
    return [_hand_back(session, row, now) for row in _running(session, worker)]


def is_silent(session: Session, worker: str) -> bool:
    """Whether a worker has a job and gave no heartbeat within its lease."""
    now = database_time(session)
    lapsed = select(JobRow.id).where(
        JobRow.state == "running", JobRow.worker == worker, JobRow.lease_until < now
    )
    return session.scalars(lapsed.limit(1)).first() is not None


def heartbeat(session: Session, claim: Claim) -> bool:
    """Renews the lease; returns whether the job is to go on, False once somebody cancelled it.

    Raises `LostClaim`.
    """
    row = _claimed(session, claim)
    loading = row.progress is not None and row.progress["stage"] == "load"
    row.lease_until = database_time(session) + claim.lease * (LOADING_LEASES if loading else 1)
    return not row.cancelled


def goes_on(session: Session, claim: Claim) -> bool:
    """Whether the job is to go on, without a heartbeat; locks nothing. Raises `LostClaim`."""
    return not _held(session.get(JobRow, claim.job), claim).cancelled


def report(session: Session, claim: Claim, progress: Progress, picture: bytes | None = None) -> bool:
    """Notes the progress of a job, with a new preview (PNG) if any; returns and raises as `heartbeat`."""
    row = _claimed(session, claim)
    row.progress = asdict(progress)
    if picture is not None:
        preview = session.get(PreviewRow, claim.job)
        if preview is None:
            session.add(PreviewRow(job=claim.job, number=1, picture=picture))
        else:
            preview.number += 1
            preview.picture = picture
    return heartbeat(session, claim)


def note_model(session: Session, claim: Claim, model: str) -> None:
    """Notes in a render job what the model is called that it renders with. Raises `LostClaim`."""
    row = _claimed(session, claim)
    row.payload = {**row.payload, "model": model}


def finish(session: Session, claim: Claim, result: str) -> None:
    """Ends a job as done, with what it made. Raises `LostClaim`."""
    _end(session, claim, "done", result=result)


def fail(session: Session, claim: Claim, problem: Message) -> None:
    """Ends a job as failed, for a reason that another attempt would not change. Raises `LostClaim`."""
    _end(session, claim, "failed", problem=problem)


def give_up(session: Session, claim: Claim) -> None:
    """Ends a job that somebody cancelled. Raises `LostClaim`."""
    _end(session, claim, "cancelled")


def hand_back(session: Session, claim: Claim) -> None:
    """Queues a job again as if it had not been tried: its worker ends, through no fault of the job.

    One that somebody cancelled ends. Raises `LostClaim`.
    """
    _hand_back(session, _claimed(session, claim), database_time(session))


def _next(session: Session, kinds: Collection[Kind]) -> JobRow | None:
    """The job to begin, of the project whose first one that can begin comes first; or an unreadable one.

    It is locked, as is the project of a render, of which all that decides is read with that lock.
    """
    passed: set[str] = set()
    best: Ready | None = None
    while (row := _first_waiting(session, kinds, passed)) is not None:
        if best is not None and best.position <= row.position:
            break
        if row.project is None or not isinstance(order_of(row), RenderOrder):
            return row
        passed.add(row.project)
        if not lock_project(session, row.project, wait=False):
            continue
        ready = project_renders(session, row.project).ready()
        if ready is not None and (best is None or ready.position < best.position):
            best = ready
    if best is None:
        return None
    return session.scalars(_free(JobRow.id == best.job, JobRow.state == "queued")).first()


def _first_waiting(session: Session, kinds: Collection[Kind], passed: Collection[str]) -> JobRow | None:
    """The first waiting job of these kinds that is no render of the projects that were passed over."""
    trashed = select(ProjectRow.id).where(ProjectRow.trashed.is_not(None))
    waiting = _free(
        JobRow.state == "queued",
        or_(JobRow.kind.in_(kinds), JobRow.kind.not_in(KINDS)),
        or_(JobRow.project.is_(None), JobRow.project.not_in(trashed)),
        or_(JobRow.kind != "render", JobRow.project.is_(None), JobRow.project.not_in(passed)),
    )
    return session.scalars(waiting.order_by(JobRow.position, JobRow.id).limit(1)).first()


def _free(*which: Any) -> Select[JobRow]:
    """These jobs as they are now, locked; without those that another transaction holds."""
    free = select(JobRow).where(*which).with_for_update(of=JobRow, skip_locked=True)
    return free.execution_options(populate_existing=True)


def _running(session: Session, worker: str) -> list[JobRow]:
    return list(session.scalars(select(JobRow).where(JobRow.state == "running", JobRow.worker == worker)))


def _lose(session: Session, row: JobRow, now: float) -> int:
    row.state = "cancelled" if row.cancelled else after_loss(row.attempts)
    release(session, row)
    if row.state != "queued":
        row.finished = now
        set_problem(row, LOST if row.state == "parked" else None)
        stop_dependants(session, row)
    return row.id


def _hand_back(session: Session, row: JobRow, now: float) -> int:
    if row.cancelled:
        row.state, row.finished = "cancelled", now
    else:
        row.state = "queued"
        row.attempts -= 1
    release(session, row)
    stop_dependants(session, row)
    return row.id


def _end(
    session: Session, claim: Claim, state: State, *, result: str | None = None, problem: Message | None = None
) -> None:
    row = _claimed(session, claim)
    row.state, row.result, row.finished = state, result, database_time(session)
    set_problem(row, problem)
    release(session, row)
    stop_dependants(session, row)


def _claimed(session: Session, claim: Claim) -> JobRow:
    """The job of a claim, locked. Raises `LostClaim`."""
    return _held(session.get(JobRow, claim.job, with_for_update=True), claim)


def _held(row: JobRow | None, claim: Claim) -> JobRow:
    if row is None or (row.state, row.worker, row.fence) != ("running", claim.worker, claim.fence):
        raise LostClaim(message("claim-lost", job=claim.job))
    return row
