"""What differs on a server: how a database is made, marked and refused, and what its columns hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from studio.domain.edits.film import SetFilm
from studio.domain.errors import ForeignDatabase, OutputFailed, StaleRevision
from studio.store import artifact_rows, projects
from studio.store.artifact_place import artifacts_at
from studio.store.column_types import storable
from studio.store.database import Database, lock_project
from studio.store.tables import ArtifactRow, SettingRow, Table
from studio.store.upgrade import open_database
from tests.fakes.postgresql_server import PostgresqlServer
from tests.fakes.projects import project


@pytest.fixture
def empty(postgresql: PostgresqlServer) -> Iterator[str]:
    """A database without tables."""
    url = postgresql.new("template1")
    yield url
    postgresql.drop(url)


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def tables(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 2"
        ).fetchall()


def test_a_new_database_has_the_tables_of_the_models(empty: str, tmp_path: Path) -> None:
    database = open_database(tmp_path, empty)
    with database.read() as session:
        assert compare_metadata(MigrationContext.configure(session.connection()), Table.metadata) == []
    database.close()
    assert not (tmp_path / "studio.db").exists()


def test_many_may_open_a_new_one_at_once(empty: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        for database in pool.map(lambda _: open_database(tmp_path, empty), range(6)):
            with database.read() as session:
                assert projects.listed(session) == []
            database.close()


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE note (text text)"],
        ["CREATE VIEW one AS SELECT 1"],
        ["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('0001')"],
    ],
    ids=["a table", "a view", "of another program with Alembic"],
)
def test_a_foreign_database_is_refused_unchanged(statements: list[str], empty: str, tmp_path: Path) -> None:
    run(empty, *statements)
    before = tables(empty)
    with pytest.raises(ForeignDatabase, match="holds tables of another program; use an empty one"):
        open_database(tmp_path, empty)
    assert tables(empty) == before


def test_a_newer_database_is_refused_unchanged(empty: str, tmp_path: Path) -> None:
    open_database(tmp_path, empty).close()
    run(empty, "UPDATE alembic_version SET version_num = '9999'")
    before = tables(empty)
    with pytest.raises(ForeignDatabase, match="newer version of the program"):
        open_database(tmp_path, empty)
    assert tables(empty) == before


def test_a_database_without_unicode_is_refused(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    postgresql.sql(
        "CREATE DATABASE latin ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' "
        "LOCALE_PROVIDER libc TEMPLATE template0"
    )
    with pytest.raises(ForeignDatabase, match="has the encoding SQL_ASCII; make one with UTF8"):
        open_database(tmp_path, postgresql.url("latin"))
    postgresql.drop(postgresql.url("latin"))


@pytest.mark.parametrize(
    "url", ["postgresql://mira:secret@127.0.0.1:1/films", "postgresql://mira:secret@/x?host=/nowhere"]
)
def test_a_server_that_is_not_there_is_told_without_the_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="cannot be opened: ") as error:
        open_database(tmp_path, url)
    assert "secret" not in str(error.value)


def test_sizes_beyond_two_gigabytes_fit(database: Database) -> None:
    with database.write() as session:
        session.add(ArtifactRow(digest="d", suffix=".x", bytes=2**40, created=1.0))
    with database.read() as session:
        assert session.get_one(ArtifactRow, "d").bytes == 2**40


def test_text_is_ordered_and_told_apart_by_its_code_points(database: Database) -> None:
    """The language of the test's server has "a" before "B", and "é" beside "e"."""
    names = ["a", "B", "b", "é", "e\u0301", "z", "A", "10", "9"]
    with database.write() as session:
        session.add_all([SettingRow(name=name, value={"text": name}) for name in names])
    with database.read() as session:
        rows = session.scalars(select(SettingRow).order_by(SettingRow.name)).all()
        assert [row.name for row in rows] == sorted(names)
        assert [row.value["text"] for row in rows] == sorted(names)


def test_json_keeps_what_python_wrote(database: Database) -> None:
    value = {"big": 2**70, "small": 1e-300, "nul": "\0", "none": None, "order": {"b": 1, "a": [True, 0.1]}}
    with database.write() as session:
        session.add(SettingRow(name="one", value=value))
    with database.read() as session:
        kept = session.get_one(SettingRow, "one").value
    assert kept == value
    assert list(kept["order"]) == ["b", "a"]


def test_text_of_others_is_made_storable(database: Database) -> None:
    assert storable("torn \0 \ud800 and é") == "torn � ? and é"
    with database.write() as session:
        session.add(SettingRow(name="\0", value={}))
    with database.read() as session:
        assert session.get(SettingRow, "�") is not None
        assert session.get(SettingRow, "a\0") is None


def retitle(database: Database, name: str, base: int) -> None:
    with database.write(project=name) as session:
        projects.apply(session, name, SetFilm(title=f"T{base}"), {}, base=base, now=1.0)


def test_of_edits_at_once_one_is_made_and_the_others_are_told(database: Database) -> None:
    """They hold the row of their project: nobody writes over what another one wrote."""
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
    begin = Barrier(6)

    def edit(_: int) -> bool:
        begin.wait(20)
        try:
            retitle(database, name, 0)
        except StaleRevision:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(edit, range(6))) == [False] * 5 + [True]
    with database.read() as session:
        assert projects.load(session, name).revision == 1


def test_edits_of_different_projects_do_not_wait_for_each_other(server: Database) -> None:
    with server.write() as session:
        one, other = (projects.create(session, project("Mira waves"), now=1.0) for _ in range(2))
    with server.write(project=one) as session:
        assert lock_project(session, one)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(retitle, server, other, 0).result(10)
    with server.read() as session:
        assert projects.load(session, other).revision == 1


def test_who_writes_the_whole_studio_is_alone(server: Database) -> None:
    with server.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
    done = Event()

    def edit() -> None:
        retitle(server, name, 0)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        with server.write() as session:
            editing = pool.submit(edit)
            assert not done.wait(0.2)
            assert projects.load(session, name).revision == 0
        editing.result(10)
    assert done.is_set()


def test_files_may_be_noted_by_two_at_once(server: Database, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"film")
    artifacts = artifacts_at(tmp_path)
    artifact = artifacts.put(tmp_path / "clip.mp4")
    with server.write(shared=True) as session:
        artifact_rows.keep(session, artifacts, [artifact], 1.0)
        with ThreadPoolExecutor(1) as pool:

            def note() -> None:
                with server.write(shared=True) as other:
                    artifact_rows.keep(other, artifacts, [artifact], 2.0)

            noting = pool.submit(note)
            session.connection().commit()
            noting.result(10)
    with server.read() as session:
        assert session.get_one(ArtifactRow, artifact.digest).created == 1.0


def test_tokens_of_old_transactions_are_dropped(server: Database) -> None:
    for _ in range(3):
        with server.write():
            pass
    with server.engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM commit_token")) == 3
        connection.execute(text("UPDATE commit_token SET at = at - 100000"))
    server.forget_tokens()
    with server.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM commit_token")) == 0
