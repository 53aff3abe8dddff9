"""Exports that several people ask for at the same time, and films that become projects again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import av
import pytest
from sqlalchemy import select

from moc_engine.stored_file import LocalFile
from studio.domain.edits.cast import SetCastPicture
from studio.domain.edits.shot_inputs import SetFirstFrame
from studio.domain.errors import BadRecipe
from studio.domain.settings import Settings
from studio.exchange.mp4 import MOST_PICTURE, Piece, attached_pictures, join, recipe_in
from studio.store.database import Database
from studio.store.tables import TakeRow
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.pictures import write_picture
from tests.fakes.renderer import write_clip
from tests.fakes.unknown_model import UNKNOWN_MODEL


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Another studio."""
    root = tmp_path_factory.mktemp("elsewhere")
    with closing(open_database(root)) as database:
        yield Studio(root, database)


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
    tmp_path: Path, database: Database, elsewhere: Studio
) -> None:
    studio = Studio(tmp_path, database)
    film = studio.service.files.export(studio.rendered(), "film.mp4")
    again = elsewhere.service.files.import_film(film)
    assert [shot.state for shot in elsewhere.service.projects.state(again).shots] == ["missing"] * 3


def pictured(studio: Studio, folder: Path) -> tuple[str, str, str]:
    """A rendered project with a first frame and a picture of Otto: its id and the digests."""
    project = studio.service.projects.create(replace(BOARD, settings=Settings(model=UNKNOWN_MODEL)))
    first, otto = (
        studio.service.pictures.add(project, write_picture(folder / f"{side}.png", (side, side)))
        for side in (32, 48)
    )
    studio.service.editing.edit(project, SetFirstFrame(shot="a", first_frame=f"picture:{first}"), 0)
    studio.service.editing.edit(project, SetCastPicture(name="Otto", picture=f"picture:{otto}"), 1)
    studio.service.rendering.render(project)
    studio.work()
    return project, first, otto


def test_a_film_carries_the_pictures_that_its_storyboard_names(
    tmp_path: Path, database: Database, elsewhere: Studio
) -> None:
    studio = Studio(tmp_path, database)
    project, *digests = pictured(studio, tmp_path)
    film = studio.service.files.export(project, "film.mp4")
    with av.open(film) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 24
    there = elsewhere.service.files.import_film(film)
    assert elsewhere.service.projects.state(there).missing_pictures == {}
    for digest in digests:
        with elsewhere.service.pictures.file(there, digest).open() as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == digest
    elsewhere.service.rendering.render(there)
    elsewhere.work()
    takes = [shot.take for shot in studio.service.projects.state(project).shots]
    assert [shot.take for shot in elsewhere.service.projects.state(there).shots] == takes


def test_pictures_that_a_film_lost_are_named(tmp_path: Path, database: Database, elsewhere: Studio) -> None:
    studio = Studio(tmp_path, database)
    project, first, otto = pictured(studio, tmp_path)
    film = studio.service.files.export(project, "film.mp4")
    for kept in (first, otto):  # damaged on the way
        with studio.service.pictures.file(project, kept).open() as stream:
            film.write_bytes(film.read_bytes().replace(stream.read()[40:], b"\0" * 9))
    again = elsewhere.service.files.import_film(film)
    assert elsewhere.service.projects.state(again).missing_pictures == {
        f"picture:{first}": "the picture that shot 1 should start with is not there: choose it again",
        f"picture:{otto}": "the picture of Otto is not there any more: choose it again",
    }
    back = studio.service.files.import_film(film)  # where they are
    assert studio.service.projects.state(back).missing_pictures == {}
    assert [shot.state for shot in studio.service.projects.state(back).shots] == ["fresh"] * 3


def test_a_storyboard_brings_the_pictures_back_that_the_studio_has(
    tmp_path: Path, database: Database, elsewhere: Studio
) -> None:
    studio = Studio(tmp_path, database)
    project, _, otto = pictured(studio, tmp_path)
    text = studio.service.projects.export_yaml(project)
    again = studio.service.projects.import_yaml(text)
    assert studio.service.projects.state(again).missing_pictures == {}
    assert studio.service.projects.state(again).cast[1].picture == f"picture:{otto}"
    there = elsewhere.service.projects.import_yaml(text)
    assert len(elsewhere.service.projects.state(there).missing_pictures) == 2


def test_a_file_that_is_no_picture_is_not_taken_for_one(tmp_path: Path, database: Database) -> None:
    studio = Studio(tmp_path, database)
    take = studio.service.projects.state(studio.rendered()).shots[0].take
    with database.read() as session:
        clip = session.scalars(select(TakeRow.clip).where(TakeRow.id == take)).one()
    text = f"shots: [{{caption: Mira waves, first_frame: 'picture:{clip}'}}]"
    project = studio.service.projects.import_yaml(text)
    assert list(studio.service.projects.state(project).missing_pictures) == [f"picture:{clip}"]
    assert studio.service.files.export(project, "project.mocz").is_file()


def test_a_film_attaches_pictures_up_to_a_limit(tmp_path: Path) -> None:
    clip, film = tmp_path / "clip.mp4", tmp_path / "film.mp4"
    write_clip(clip, (9, 9, 9), seconds=0.5, fps=4.0, size=(64, 64))
    pictures = [tmp_path / name for name in ("small", "large", "other")]
    for picture, size in zip(pictures, (9, MOST_PICTURE + 1, 10), strict=True):
        picture.write_bytes(bytes(size))
    digests = [hashlib.sha256(picture.read_bytes()).hexdigest() for picture in pictures]
    piece = Piece(clip=LocalFile(clip), first=0, frames=2, name="shot 1")
    join([piece], film, title="x", recipe={"a": 1}, pictures=[LocalFile(picture) for picture in pictures])
    assert recipe_in(film) == {"a": 1}
    assert set(attached_pictures(film, digests)) == {digests[0], digests[2]}
    assert set(attached_pictures(film, digests[1:])) == {digests[2]}


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
