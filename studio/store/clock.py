"""The database's clock: one time for all processes and machines that share a database.

SQLite runs inside each process and has no clock of its own; there the function `studio_now` is registered
with every connection, by which tests set the time. PostgreSQL tells the time of its server.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Double, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

SQLITE_FUNCTION: Final = "studio_now"

POSTGRESQL_NOW: Final = "EXTRACT(EPOCH FROM clock_timestamp())::double precision"
"""The time of the call; now() would be the start of the transaction."""


class DatabaseNow(FunctionElement[float]):
    """SQL for the present time in seconds since 1970."""

    type = Double()
    inherit_cache = True


@compiles(DatabaseNow, "sqlite")
def _in_sqlite(element: DatabaseNow, compiler: Any, **options: Any) -> str:
    return f"{SQLITE_FUNCTION}()"


@compiles(DatabaseNow, "postgresql")
def _in_postgresql(element: DatabaseNow, compiler: Any, **options: Any) -> str:
    return POSTGRESQL_NOW


def database_time(session: Session) -> float:
    """The present time in seconds since 1970, as the database tells it."""
    return float(session.scalars(select(DatabaseNow())).one())
