from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from studio.store.clock import DatabaseNow, database_time
from studio.store.database import Database
from tests.fakes.clock import FakeClock


def test_the_database_tells_the_time(database: Database) -> None:
    began = time.time()
    with database.read() as session:
        assert began <= database_time(session) <= time.time()


def test_a_database_can_be_given_another_clock(database: Database) -> None:
    clock = FakeClock(5.0)
    other = Database(database.url, clock)
    with other.read() as session:
        assert database_time(session) == 5.0
        clock.now = 6.0
        assert database_time(session) == 6.0
    other.close()


def test_postgresql_tells_the_time_of_the_call() -> None:
    """And not that at which the transaction began, as its now() does."""
    statement = select(DatabaseNow()).compile(dialect=postgresql.dialect())
    assert "clock_timestamp()" in str(statement)
