"""Pictures that a storyboard file names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from studio.domain.errors import BadStoryboard
from studio.domain.storyboard import Storyboard
from studio.exchange.yaml_reader import read_storyboard
from studio.store.database import Database
from tests.fakes.inline_studio import Studio
from tests.fakes.pictures import write_picture

Named = Callable[[Storyboard], str | None]


@pytest.mark.parametrize(
    ("story", "field", "named"),
    [
        (
            "shots:\n  - {caption: a, first_frame: mira.png}\n",
            ("shots", 0, "first_frame"),
            lambda board: board.shots[0].first_frame,
        ),
        (
            "cast: [{name: Mira, picture: mira.png}]\nshots: [{caption: Mira waves}]\n",
            ("cast", 0, "picture"),
            lambda board: board.cast[0].picture,
        ),
    ],
    ids=["first frame", "cast"],
)
def test_pictures_of_a_storyboard_file_are_kept(
    tmp_path: Path, database: Database, story: str, field: tuple[str | int, ...], named: Named
) -> None:
    service = Studio(tmp_path, database).service
    pictures, projects = service.pictures, service.projects
    file = tmp_path / "story.yaml"
    file.write_text(story)
    board = read_storyboard(file)
    with pytest.raises(BadStoryboard, match=r"there is no picture mira\.png") as refused:
        pictures.with_files_read(board, None)
    assert refused.value.field == field
    write_picture(tmp_path / "mira.png")
    project = projects.create(board)
    read = pictures.with_files_read(board, project)
    assert read == pictures.with_files_read(board, None)
    with pictures.file(project, str(named(read)).removeprefix("picture:")).open() as kept:
        assert kept.read(4) == b"\x89PNG"
