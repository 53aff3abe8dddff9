from __future__ import annotations

from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.settings import Settings
from tests.fakes.edits import STORY, made
from tests.fakes.projects import project


def test_the_film_changes_where_it_is_told_to() -> None:
    start = project(*STORY, style="by day")
    edit = SetFilm(title="New", size=(640, 360), fps=12.0, seed=3)
    board = made(edit, start).board
    assert (board.title, board.size, board.fps, board.seed) == ("New", (640, 360), 12.0, 3)
    assert board.style == "by day"
    assert made(SetFilm(style=""), start).board.style == ""


def test_settings_are_replaced() -> None:
    settings = Settings(steps=3)
    assert made(SetSettings(settings=settings)).board.settings == settings
