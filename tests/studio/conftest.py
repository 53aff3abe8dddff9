"""What tests of the studio share: its database and its files, in a folder of the test's own or on servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from studio.store.database import Database
from studio.store.database_url import FILE
from studio.store.upgrade import open_database
from tests.fakes.artifact_stores import FolderStore, S3Store, Store
from tests.fakes.postgresql_server import PostgresqlServer, binaries

_ON_BOTH: Final = ("store", "jobs", "service", "api", "test_worker")


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with nothing in it, for copies: each takes a while to make."""
    root = tmp_path_factory.mktemp("new")
    open_database(root).close()
    return root / FILE


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A server of PostgreSQL that the tests of this process share."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    server = PostgresqlServer()
    try:
        server.make_template()
        yield server
    finally:
        server.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of what the database decides run on both kinds; those of rendering and of files on one.

    Tests of a database and of a place for files have them together: both in folders, and both on servers.
    """
    names = {"database_url", "store"} & set(metafunc.fixturenames)
    path = metafunc.definition.path
    both = path.parent.name in _ON_BOTH or path.stem in _ON_BOTH
    databases = ["sqlite", "postgresql"] if both and binaries() is not None else ["sqlite"]
    if names == {"database_url", "store"}:
        pairs = [("sqlite", "folder"), (databases[-1], "s3")]
        metafunc.parametrize(("database_url", "store"), pairs, indirect=True)
    elif names == {"store"}:
        metafunc.parametrize("store", ["folder", "s3"], indirect=True)
    elif names:
        metafunc.parametrize("database_url", ["sqlite", "postgresql"] if both else ["sqlite"], indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A place for the artifacts of the studio in `tmp_path`: its folder, and S3."""
    if request.param == "folder":
        return FolderStore(tmp_path)
    return S3Store(tmp_path, request.getfixturevalue("s3"))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """Where the database of a test is: in the folder of its studio (None), or on a server.

    Processes that the test starts open it too.
    """
    if request.param == "sqlite":
        yield None
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    url = server.new()
    monkeypatch.setenv("MOC_STUDIO_DATABASE", url)
    yield url
    server.drop(url)


@pytest.fixture
def file_database(new_database: Path, tmp_path: Path) -> Iterator[Database]:
    """A database of SQLite, in the folder of its studio."""
    shutil.copy(new_database, tmp_path)
    opened = open_database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def database(database_url: str | None, new_database: Path, tmp_path: Path) -> Iterator[Database]:
    if database_url is None:
        shutil.copy(new_database, tmp_path)
    opened = open_database(tmp_path, database_url)
    yield opened
    opened.close()
