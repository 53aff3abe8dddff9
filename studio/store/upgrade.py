"""Opens the database of a studio: creates or migrates it if needed, and refuses foreign files.

A migration runs in one transaction, after a backup.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event

from moc_engine.files import atomic_file
from studio.domain.errors import ForeignDatabase
from studio.domain.messages import message
from studio.store.database import APPLICATION, BUSY_SECONDS, Database, cannot_write, connect
from studio.store.os_errors import os_errors_as_studio_errors

FILE: Final = "studio.db"
MIGRATIONS: Final = Path(__file__).parent / "migrations"

_MARK = slice(68, 72)
"""Where the header of a database has its application id."""


def open_database(
    root: Path, migrations: Path = MIGRATIONS, clock: Callable[[], float] = time.time
) -> Database:
    """Opens the database in the studio's folder with the schema of this version of the program.

    Raises `ForeignDatabase` for a file that is no database, another program's, or of a newer version of
    this one; it is left as it was.
    """
    path = root / FILE
    scripts = ScriptDirectory(str(migrations))
    with os_errors_as_studio_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        known = _revision(path, {script.revision for script in scripts.walk_revisions()})
        if known != scripts.get_current_head():
            if known is not None:
                back_up(path, root / "backups")
            _migrate(path, migrations)
    return Database(path, clock)


def back_up(database: Path, folder: Path) -> Path:
    """Copies the database by SQLite's backup interface; returns the path of the copy.

    Raises `OutputFailed` where there is no room for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    names = (folder / f"studio-{stamp}{'' if n == 0 else f'-{n}'}.db" for n in range(1000))
    target = next(name for name in names if not name.exists())
    with (
        atomic_file(target) as part,
        closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as source,
        closing(sqlite3.connect(part)) as copy,
    ):
        try:
            source.backup(copy)
        except sqlite3.OperationalError as error:
            raise cannot_write(target, error) from error
    return target


def _revision(path: Path, ours: Collection[str]) -> str | None:
    """The migration that a database is at, which must be one of `ours`; None for one yet to be made."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    foreign = ForeignDatabase(message("database-foreign", path=str(path)))
    if not _may_be_ours(path):
        raise foreign
    try:
        application, tables, revision = _look(path)
    except sqlite3.DatabaseError as error:
        raise ForeignDatabase(message("database-unreadable", path=str(path), cause=str(error))) from error
    if not tables and application in (0, APPLICATION):  # its first migration was taken back
        return None
    if application != APPLICATION or revision is None:
        raise foreign
    if revision not in ours:
        raise ForeignDatabase(message("database-newer", path=str(path)))
    return revision


def _may_be_ours(path: Path) -> bool:
    """Whether the header bears our mark, or a log beside the file may hold another header.

    Asked first, as SQLite leaves files beside any database in WAL mode that it looks at.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\0"):
        raise ForeignDatabase(message("database-unreadable", path=str(path), cause="file is not a database"))
    marked = header[_MARK] == APPLICATION.to_bytes(4, "big")
    return marked or path.with_name(f"{path.name}-wal").exists()


def _look(path: Path, mode: str = "ro") -> tuple[int, int, str | None]:
    """The mark of a database, how many tables it has, and the migration it is at if it says so."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" not in tables:
                return application, len(tables), None
            row = db.execute("SELECT version_num FROM alembic_version").fetchone()
            return application, len(tables), None if row is None else str(row[0])
    except sqlite3.OperationalError as error:
        if mode == "ro" and error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
            return _look(path, mode="rw")  # takes back what a killed process began
        raise


def _migrate(path: Path, migrations: Path) -> None:
    engine = connect(path)
    event.listen(engine, "connect", _without_foreign_keys)
    config = Config()
    config.set_main_option("script_location", str(migrations))
    try:
        with engine.begin() as connection, _children_kept(connection):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")
    finally:
        engine.dispose()


def _without_foreign_keys(connection: sqlite3.Connection, record: object) -> None:
    """Rebuilding a table with them on would delete its children."""
    connection.execute("PRAGMA foreign_keys = OFF")


@contextmanager
def _children_kept(connection: Connection) -> Iterator[None]:
    yield
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if lost:
        raise RuntimeError(f"the migration would have torn {len(lost)} rows from those they belong to")
