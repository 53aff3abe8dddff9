"""A studio's database on a disk that is full for some time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from studio.domain.errors import OutputFailed
from studio.store.database import Database
from studio.store.database_url import file_url
from studio.store.os_errors import disk_full


class FullDatabase(Database):
    """Refuses its next `refused` write transactions as SQLite does where it finds no room."""

    def __init__(self, path: Path) -> None:
        super().__init__(file_url(path))
        self._folder = path.parent
        self.refused = 0

    @contextmanager
    def write(
        self, *, project: str | None = None, shared: bool = False, checked: bool = True
    ) -> Iterator[Session]:
        if self.refused:
            self.refused -= 1
            raise OutputFailed(disk_full(self._folder))
        with super().write(project=project, shared=shared, checked=checked) as session:
            yield session
