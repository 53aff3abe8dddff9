"""Exports that several people ask for at the same time, and films that become projects again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import av
import pytest

from studio.domain.errors import BadRecipe
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import Studio
from tests.fakes.renderer import write_clip


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


def test_a_film_becomes_its_project_again(tmp_path: Path, database: Database) -> None:
    studio = Studio(tmp_path, database)
    project = studio.rendered()
    film = studio.service.files.export(project, "film.mp4")
    again = studio.service.files.import_film(film)
    assert studio.service.projects.storyboard(again) == studio.service.projects.storyboard(project)
    shots = studio.service.projects.state(again).shots
    assert [shot.state for shot in shots] == ["fresh"] * 3
    assert [shot.take for shot in shots] == [
        shot.take for shot in studio.service.projects.state(project).shots
    ]


def test_a_film_of_another_studio_becomes_a_project_without_takes(
    tmp_path: Path, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    studio = Studio(tmp_path, database)
    film = studio.service.files.export(studio.rendered(), "film.mp4")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with closing(open_database(elsewhere)) as other_database:
        other = Studio(elsewhere, other_database)
        again = other.service.files.import_film(film)
        assert [shot.state for shot in other.service.projects.state(again).shots] == ["missing"] * 3


def test_what_is_no_film_of_a_studio_is_refused(tmp_path: Path, database: Database) -> None:
    studio = Studio(tmp_path, database)
    clip = tmp_path / "foreign.mp4"
    write_clip(clip, (9, 9, 9), seconds=0.5, fps=4.0, size=(64, 64))
    with pytest.raises(BadRecipe, match="carries no recipe"):
        studio.service.files.import_film(clip)
    clip.write_text("title: no film")
    with pytest.raises(BadRecipe, match="cannot be read as MP4"):
        studio.service.files.import_film(clip)
    assert studio.service.projects.all() == []
