"""Jobs as rows of the database."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.orm import Session

from studio.domain.errors import NotThere
from studio.domain.messages import message
from studio.jobs.job import Job, Progress, State
from studio.jobs.order import Order, order_from_json
from studio.store.tables import JobRow, PreviewRow


def job_row(session: Session, job: int) -> JobRow:
    """Raises `NotThere`."""
    row = session.get(JobRow, job)
    if row is None:
        raise NotThere(message("job-not-found"))
    return row


def order_of(row: JobRow) -> Order:
    return order_from_json(row.kind, row.payload, shot=row.shot, reason=row.reason, seconds=row.seconds)


def job_of(row: JobRow, picture: int) -> Job:
    state: State = row.state  # type: ignore[assignment]
    return Job(
        id=row.id,
        project=row.project,
        order=order_of(row),
        position=row.position,
        state=state,
        attempts=row.attempts,
        progress=None if row.progress is None else Progress(**row.progress),
        picture=picture,
        error=row.error,
        result=row.result,
        created=row.created,
        started=row.started,
        finished=row.finished,
    )


def release(session: Session, row: JobRow) -> None:
    """Removes the traces of a worker from a job that it no longer works on."""
    row.worker = row.lease_until = row.progress = None
    session.execute(delete(PreviewRow).where(PreviewRow.job == row.id))
