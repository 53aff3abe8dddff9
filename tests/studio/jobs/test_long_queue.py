"""A claim reads a few of the jobs that wait, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from studio.jobs import claims, queue
from studio.jobs.order import RenderOrder
from studio.store import projects
from studio.store.database import Database
from studio.store.tables import JobRow
from tests.fakes.projects import project


@contextmanager
def jobs_read() -> Iterator[list[int]]:
    """The jobs that are read within the context."""
    read: list[int] = []

    def note(row: JobRow, _: object) -> None:
        read.append(row.id)

    event.listen(JobRow, "load", note)
    try:
        yield read
    finally:
        event.remove(JobRow, "load", note)


def test_the_first_of_many_jobs_is_claimed_without_reading_all(database: Database) -> None:
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=0.0)
        order = RenderOrder(shot="a", reason="test", seconds=1.0, keep_context=True)
        orders = [RenderOrder(**{**vars(order), "shot": f"{nth}"}) for nth in range(300)]
        jobs = queue.enqueue(session, name, orders)
    for first in jobs[:2]:
        with jobs_read() as read, database.write() as session:
            claimed = claims.claim(session, "w")
        assert claimed is not None
        assert claimed.job == first
        assert len(set(read)) <= 40
