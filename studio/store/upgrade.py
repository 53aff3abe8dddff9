"""Opens the database of a studio: creates or migrates it if needed, and refuses foreign ones.

A migration runs in one transaction. A file is backed up before; on a server, whoever opens the database first
migrates it, and the others wait.
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
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError

from moc_engine.files import atomic_file
from studio.domain.errors import ForeignDatabase, OutputFailed, Refused
from studio.domain.messages import message
from studio.store.database import Database
from studio.store.database_move import is_being_moved
from studio.store.database_url import database_url, file_of, file_url, shown
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.postgresql import lock_for_migration, mark_as_ours, marked_revision, postgresql_engine
from studio.store.sqlite import APPLICATION, BUSY_SECONDS, cannot_write, sqlite_engine

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_MARK = slice(68, 72)
"""Where the header of a database has its application id."""


def open_database(
    root: Path,
    url: str | None = None,
    *,
    migrations: Path = MIGRATIONS,
    clock: Callable[[], float] | None = None,
    moving: bool = False,
) -> Database:
    """Opens a database with the schema of this version of the program: the one in the studio's folder, or
    that of a URL. Tests hand in a clock.

    Raises `ForeignDatabase` for one that is no database, another program's, or of a newer version of this
    one; it is left as it was. Raises `OutputFailed` where it cannot be reached, `WrongUse` for another URL,
    and `Refused` where a move into it did not come to its end, unless it is to go on (`moving`).
    """
    place = database_url(url, root)
    path = file_of(place)
    with os_errors_as_studio_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        if path is None:
            _upgrade_on_server(place, migrations)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            _upgrade_file(path, root / "backups", migrations)
    database = Database(place, clock)
    if not moving:
        with database.read() as session:
            unfinished = is_being_moved(session)
        if unfinished:
            database.close()
            raise Refused(message("database-move-unfinished", database=shown(place)))
    return database


def _upgrade_file(path: Path, backups: Path, migrations: Path) -> None:
    scripts = ScriptDirectory(str(migrations))
    known = _revision(path, {script.revision for script in scripts.walk_revisions()})
    if known == scripts.get_current_head():
        return
    if known is not None:
        back_up(path, backups)
    _migrate_file(path, migrations)


def _upgrade_on_server(url: URL, migrations: Path) -> None:
    scripts = ScriptDirectory(str(migrations))
    head, ours = scripts.get_current_head(), {script.revision for script in scripts.walk_revisions()}
    try:
        engine = postgresql_engine(url)
    except ImportError as error:
        raise OutputFailed(message("database-no-driver")) from error
    try:
        with engine.connect() as connection:
            if marked_revision(connection, shown(url), ours) == head:
                return
            connection.rollback()
            lock_for_migration(connection)
            if marked_revision(connection, shown(url), ours) != head:  # others may have been quicker
                _run(connection, migrations)
                mark_as_ours(connection)
            connection.commit()
    except DBAPIError as error:
        cause = str(error.orig).partition("\n")[0]
        raise OutputFailed(message("database-unreachable", path=shown(url), cause=cause)) from error
    finally:
        engine.dispose()


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


def _migrate_file(path: Path, migrations: Path) -> None:
    engine = sqlite_engine(file_url(path))
    event.listen(engine, "connect", _without_foreign_keys)
    try:
        with engine.begin() as connection, _children_kept(connection):
            _run(connection, migrations)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")
    finally:
        engine.dispose()


def _run(connection: Connection, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _without_foreign_keys(connection: sqlite3.Connection, record: object) -> None:
    """Rebuilding a table with them on would delete its children."""
    connection.execute("PRAGMA foreign_keys = OFF")


@contextmanager
def _children_kept(connection: Connection) -> Iterator[None]:
    yield
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if lost:
        raise RuntimeError(f"the migration would have torn {len(lost)} rows from those they belong to")
