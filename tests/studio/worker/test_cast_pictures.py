"""Pictures of the cast, from the storyboard to the request of the engine."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from studio.domain.edits.cast import SetCastPicture
from studio.domain.errors import NotThere
from studio.domain.settings import Settings
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.pictures import write_picture
from tests.fakes.unknown_model import UNKNOWN_MODEL


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def test_shots_refer_to_the_pictures_of_those_they_show(studio: Studio, tmp_path: Path) -> None:
    project = studio.service.projects.create(replace(BOARD, settings=Settings(model=UNKNOWN_MODEL)))
    digest = studio.service.pictures.add(project, write_picture(tmp_path / "otto.png"))
    edit = SetCastPicture(name="Otto", picture=f"picture:{digest}")
    state = studio.service.editing.edit(project, edit, 0)
    assert [member.picture for member in state.cast] == [None, f"picture:{digest}"]
    studio.service.rendering.render(project)
    studio.work()
    first, second, third = studio.renderer.requests
    assert first.references == ()
    for request in (second, third):
        (picture,) = request.references
        with picture.open() as sent, studio.service.pictures.file(project, digest).open() as kept:
            assert sent.read() == kept.read()
        assert request.recipe["references"] == [digest]
    after = studio.service.projects.state(project)
    assert [shot.state for shot in after.shots] == ["fresh"] * 3

    copy = studio.service.projects.duplicate(project)
    moved = studio.service.files.import_bundle(studio.service.files.export(project, "project.mocz"))
    for other in (copy, moved):
        assert studio.service.projects.state(other).cast == after.cast
        assert [shot.state for shot in studio.service.projects.state(other).shots] == ["fresh"] * 3
    undone = studio.service.editing.undo(project, after.revision)
    assert [member.picture for member in undone.cast] == [None, None]
    assert undone.shots[1].reasons[0] == "Otto's picture changed"


def test_a_picture_that_is_not_there_is_refused_in_words(studio: Studio) -> None:
    cast = (replace(BOARD.cast[0], picture="file:mira.png"), BOARD.cast[1])
    board = replace(BOARD, settings=Settings(model=UNKNOWN_MODEL), cast=cast)
    project = studio.service.projects.create(board)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    (job,) = studio.service.queue.state().jobs
    assert job.error == "the picture of Mira is not there any more: choose it again"


def test_a_thumbnail_is_a_small_picture_of_the_same_shape(studio: Studio, tmp_path: Path) -> None:
    project = studio.service.projects.create(BOARD)
    for size, shown in (((640, 320), (216, 108)), ((64, 48), (64, 48))):
        digest = studio.service.pictures.add(project, write_picture(tmp_path / "otto.png", size))
        with Image.open(BytesIO(studio.service.pictures.thumbnail(project, digest))) as thumbnail:
            assert (thumbnail.format, thumbnail.size) == ("JPEG", shown)
    with pytest.raises(NotThere):
        studio.service.pictures.thumbnail(project, "0" * 64)
