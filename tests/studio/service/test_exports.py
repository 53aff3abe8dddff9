"""Exports that several people ask for at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import pytest

from studio.store.database import Database
from tests.fakes.inline_studio import Studio


@pytest.mark.parametrize("kind", ["film.mp4", "project.mocz", "captions.vtt"])
def test_two_exports_of_one_film_at_once_each_write_a_whole_file(
    tmp_path: Path, database: Database, kind: str
) -> None:
    studio = Studio(tmp_path, database)
    project = studio.rendered()
    with ThreadPoolExecutor(2) as threads:
        files = list(threads.map(lambda _: studio.service.files.export(project, kind), range(16)))
    assert len(set(files)) == 1
    assert list(files[0].parent.iterdir()) == [files[0]]
    if kind == "film.mp4":
        with av.open(files[0]) as film:
            assert sum(1 for _ in film.decode(video=0)) == 24
