"""What the database keeps, through kills, many threads, and whatever version of SQLite there is."""

import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event

from studio.domain.edits.film import SetFilm
from studio.domain.errors import OutputFailed
from studio.store import projects
from studio.store.database import Database
from studio.store.sqlite import BUSY_SECONDS, journal_mode
from studio.store.upgrade import open_database
from tests.fakes.doomed import PROCESSES, edit_forever
from tests.fakes.projects import project

KILLS = int(os.environ.get("SOAK_KILLS", "20"))


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "delete"),
        ((3, 51, 2), "delete"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
        ((4, 0, 0), "wal"),
    ],
)
def test_a_log_is_used_from_the_safe_version_on(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode


def test_every_connection_is_set_up(file_database: Database) -> None:
    held = [file_database.engine.connect() for _ in range(4)]
    try:
        for connection in held:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == journal_mode()
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == BUSY_SECONDS * 1000
            connection.rollback()
    finally:
        for connection in held:
            connection.close()
    assert BUSY_SECONDS >= 5


def test_a_file_left_in_another_journal_mode_is_set_right(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    other = "wal" if journal_mode() == "delete" else "delete"
    with sqlite3.connect(tmp_path / "studio.db") as connection:
        assert connection.execute(f"PRAGMA journal_mode = {other}").fetchone() == (other,)
    connection.close()
    database = open_database(tmp_path)
    with database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == journal_mode()
    database.close()


def statements(database: Database) -> list[str]:
    said: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda c, cursor, text, *_: said.append(text))
    return said


def test_writes_take_the_lock_before_they_read(file_database: Database) -> None:
    said = statements(file_database)
    with file_database.write():
        assert said == ["BEGIN IMMEDIATE"]


def test_reads_take_no_lock(file_database: Database) -> None:
    said = statements(file_database)
    with file_database.read() as session:
        projects.listed(session)
        assert said[0] == "BEGIN"
        with file_database.read() as another:
            projects.listed(another)
    assert "BEGIN IMMEDIATE" not in said


def test_a_read_changes_nothing(database: Database) -> None:
    with database.read() as session:
        projects.create(session, project("Mira waves"), now=1.0)
    with database.read() as session:
        assert projects.listed(session) == []


def test_a_write_that_fails_keeps_nothing(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as session:
        projects.create(session, project("Mira waves"), now=1.0)
        raise KeyError
    with database.read() as session:
        assert projects.listed(session) == []


def test_a_read_sees_one_moment(database: Database) -> None:
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
    with database.read() as session:
        assert projects.load(session, name).revision == 0
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(_retitle, database, name)
            time.sleep(0.05)
            session.expire_all()
            assert projects.load(session, name).revision == 0
            session.rollback()
            writing.result()


def _retitle(database: Database, name: str) -> None:
    with database.write() as session:
        revision = projects.load(session, name).revision
        projects.apply(session, name, SetFilm(title=f"T{revision}"), {}, base=revision, now=1.0)


def test_many_writers_wait_for_each_other(database: Database) -> None:
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: _retitle(database, name), range(48)))
    with database.read() as session:
        assert projects.load(session, name).revision == 48


def test_a_full_disk_is_told_and_what_was_kept_can_be_read(file_database: Database) -> None:
    database = file_database
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(  # as SQLite has it where the disk is full
        database.engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}"),
    )
    style = SetFilm(style="x" * 2000)
    with pytest.raises(OutputFailed, match="the disk is full: free some space for"):
        for revision in range(100):
            with database.write() as session:
                edit = style if revision % 2 == 0 else SetFilm(style="")
                projects.apply(session, name, edit, {}, base=revision, now=1.0)
    with database.read() as session:
        stored = projects.load(session, name)
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert stored.project.board.style == ("x" * 2000 if stored.revision % 2 else "")


def test_acknowledged_edits_survive_kills(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
    database.close()
    acknowledged, chance = 0, random.Random(4)
    for _ in range(KILLS):
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=edit_forever, args=(tmp_path, None, name, theirs))
        process.start()
        theirs.close()
        assert ours.poll(60), "the process never came to its first edit"
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.join()
        try:
            while True:
                acknowledged = max(acknowledged, ours.recv())
        except EOFError:
            ours.close()
        database = open_database(tmp_path)
        with database.read() as session:
            stored = projects.load(session, name)
            assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        database.close()
        assert acknowledged <= stored.revision <= acknowledged + 1
        assert stored.project.board.shots[0].caption == f"edit {stored.revision}"
    assert acknowledged >= KILLS
