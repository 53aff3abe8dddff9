"""Jobs as rows of the database."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.orm import Session

from studio.domain.errors import NotThere
from studio.domain.messages import Message, is_known, message, message_from_json, message_to_json
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
        problem=problem_of(row),
        result=row.result,
        created=row.created,
        started=row.started,
        finished=row.finished,
    )


def problem_of(row: JobRow) -> Message | None:
    """Why a job failed. Versions that gave it no code, or one that is unknown here, left it in English."""
    if row.problem is not None:
        problem = message_from_json(row.problem)
        if is_known(problem):
            return problem
    return None if row.error is None else message("text", text=row.error)


def set_problem(row: JobRow, problem: Message | None) -> None:
    row.problem = None if problem is None else message_to_json(problem)
    row.error = None if problem is None else str(problem)


def release(session: Session, row: JobRow) -> None:
    """Removes the traces of a worker from a job that it no longer works on."""
    row.worker = row.lease_until = row.progress = None
    session.execute(delete(PreviewRow).where(PreviewRow.job == row.id))
