"""What tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.postgresql_server import PostgresqlServer


@pytest.fixture
def server(postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Database]:
    """An open, empty studio's database on the server."""
    url = postgresql.new()
    database = open_database(tmp_path, url)
    yield database
    database.close()
    postgresql.drop(url)
