"""What tests of the studio share: its database in a folder of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.store.database import Database
from studio.store.upgrade import FILE, open_database


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with nothing in it, for copies: each takes a while to make."""
    root = tmp_path_factory.mktemp("new")
    open_database(root).close()
    return root / FILE


@pytest.fixture
def database(new_database: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(new_database, tmp_path)
    opened = open_database(tmp_path)
    yield opened
    opened.close()
