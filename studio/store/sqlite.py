"""SQLite with the settings that keep what was acknowledged.

SQLite before 3.51.3 can lose data when a write-ahead log is reset (https://sqlite.org/releaselog/3_51_3.html),
so a log is used from that version on and a rollback journal before it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event

from studio.domain.errors import OutputFailed
from studio.domain.messages import message
from studio.store.clock import SQLITE_FUNCTION
from studio.store.os_errors import disk_full

SAFE_LOG: Final = (3, 51, 3)
"""The first version of SQLite whose write-ahead log is used."""

BUSY_SECONDS: Final = 20.0
"""How long a transaction waits for another's."""

APPLICATION: Final = 0x4D6F4353
"""Marks our databases ("MoCS") in their header."""


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """The journal mode that is safe with a version of SQLite."""
    return "wal" if version >= SAFE_LOG else "delete"


def sqlite_engine(url: URL, clock: Callable[[], float] | None = None) -> Engine:
    """An engine for a database file, made where there is none; it tells the time by `clock`."""
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def settle(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        connection.create_function(SQLITE_FUNCTION, 0, clock or time.time)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA journal_mode = {journal_mode()}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def cannot_write(path: Path, error: BaseException | None) -> OutputFailed:
    """The error for a file that SQLite could not write."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return OutputFailed(disk_full(path.parent))
    return OutputFailed(message("database-not-written", path=str(path), cause=str(error)))
