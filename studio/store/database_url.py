"""Where a studio's database is: a file of SQLite, or a database of a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from studio.domain.errors import WrongUse
from studio.domain.messages import message

FILE: Final = "studio.db"
"""The database in a studio's folder, unless another one is named."""

POSTGRESQL: Final = "postgresql+psycopg"


def database_url(given: str | None, root: Path) -> URL:
    """The URL that was given, or that of the database in the studio's folder; raises `WrongUse`.

    Drivers may be left out: "postgresql://…" and "postgres://…" are read by psycopg.
    """
    if not given:
        return file_url(root / FILE)
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise WrongUse(message("database-url-unreadable")) from error
    if url.drivername in ("postgres", "postgresql", POSTGRESQL):
        return url.set(drivername=POSTGRESQL)
    if url.drivername in ("sqlite", "sqlite+pysqlite") and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite")
    raise WrongUse(message("database-url-unknown", kind=url.drivername))


def file_url(path: Path) -> URL:
    """The URL of a file of SQLite."""
    return URL.create("sqlite", database=str(path))


def file_of(url: URL) -> Path | None:
    """The file of a database of SQLite; None for another one."""
    return Path(url.database) if url.drivername == "sqlite" and url.database else None


def shown(url: URL) -> str:
    """What people are told of where a database is: no password."""
    path = file_of(url)
    return str(path) if path is not None else url.render_as_string(hide_password=True)
