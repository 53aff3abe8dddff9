"""Opens the database of a studio, made or brought up to date where needed; refuses what is not ours.

A backup is taken before a migration, which happens whole or not at all.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event

from studio.errors import ForeignDatabase
from studio.files import told_plainly, whole_file
from studio.store.database import APPLICATION, BUSY_SECONDS, Database, connect

FILE: Final = "studio.db"
_VERSIONS = Path(__file__).parent / "migrations"


def open_database(root: Path) -> Database:
    """The database in the studio's folder, as this version of the program knows it.

    Raises `ForeignDatabase` for a file that is no database, another program's, or of a newer version of
    this one; it is left as it was.
    """
    path = root / FILE
    with told_plainly(root):
        root.mkdir(parents=True, exist_ok=True)
        known = _revision(path)
        newest = _scripts().get_current_head()
        if known != newest:
            if known is not None:
                back_up(path, root / "backups")
            _migrate(path)
    return Database(path)


def back_up(database: Path, folder: Path) -> Path:
    """A copy of the database as it is at one moment, by SQLite's backup interface; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%d-%H%M%S")
    names = (folder / f"studio-{stamp}{'' if n == 0 else f'-{n}'}.db" for n in range(1000))
    target = next(name for name in names if not name.exists())
    with (
        whole_file(target) as part,
        closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as source,
        closing(sqlite3.connect(part)) as copy,
    ):
        source.backup(copy)
    return target


def _revision(path: Path) -> str | None:
    """The migration that a database is at; None for one that is yet to be made."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            if application != APPLICATION:
                raise ForeignDatabase(f"{path} belongs to another program; choose another folder with --root")
            (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.DatabaseError, TypeError) as error:
        raise ForeignDatabase(f"{path} cannot be read as a database ({error})") from error
    if revision not in {script.revision for script in _scripts().walk_revisions()}:
        raise ForeignDatabase(f"{path} was written by a newer version of the program; update moc-studio")
    return str(revision)


def _migrate(path: Path) -> None:
    engine = connect(path)
    event.listen(engine, "connect", _without_foreign_keys)
    config = Config()
    config.set_main_option("script_location", str(_VERSIONS))
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


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_VERSIONS))
