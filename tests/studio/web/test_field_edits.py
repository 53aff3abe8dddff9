"""Fields of forms keep what was typed, and what others changed meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.errors import BadStoryboard, StaleRevision
from studio.domain.storyboard import Storyboard
from studio.service.studio import Service
from studio.store.database import Database
from studio.web.field_edits import save_field
from tests.fakes.inline_studio import BOARD


@pytest.fixture
def service(tmp_path: Path, database: Database) -> Service:
    return Service(tmp_path, database)


def setting(name: str, read: Callable[[str], Any] = float) -> Callable[[Storyboard, Any], Edit]:
    def edit(board: Storyboard, value: Any) -> SetSettings:
        changed: dict[str, Any] = {name: read(value) if value else None}
        return SetSettings(settings=replace(board.settings, **changed))

    return edit


def test_a_setting_keeps_those_that_were_changed_while_it_was_read(service: Service) -> None:
    project = service.projects.create(BOARD)
    between = [("steps", "2", int), ("guidance", "3", float)]

    def make(board: Storyboard, value: Any) -> Edit:
        """The edit, made as another one lands."""
        if between:
            name, typed, read = between.pop(0)
            save_field(service, project, name, typed, seen=[""], make=setting(name, read))
        return setting("shift")(board, value)

    save_field(service, project, "shift", "7", seen=[""], make=make)
    settings = service.projects.storyboard(project).settings
    assert (settings.steps, settings.guidance, settings.shift) == (2, 3.0, 7.0)


def test_a_field_that_was_changed_elsewhere_is_not_overwritten(service: Service) -> None:
    project = service.projects.create(BOARD)
    save_field(service, project, "steps", "9", seen=[""], make=setting("steps", int))
    with pytest.raises(StaleRevision):
        save_field(service, project, "steps", "4", seen=[""], make=setting("steps", int))
    assert service.projects.storyboard(project).settings.steps == 9


def test_a_field_that_the_same_page_sent_before_is_overwritten(service: Service) -> None:
    """As it was typed: the field shows it in another form by now."""
    project = service.projects.create(BOARD)

    def make(board: Storyboard, value: Any) -> Edit:
        return SetFilm(fps=float(value.replace(",", ".")))

    save_field(service, project, "fps", "12,50", seen=["8"], make=make)
    save_field(service, project, "fps", "16", seen=["8", "12,50"], make=make)
    assert service.projects.storyboard(project).fps == 16


def test_a_value_without_sense_is_refused_and_one_sent_before_does_no_harm(service: Service) -> None:
    project = service.projects.create(BOARD)

    def make(board: Storyboard, value: Any) -> Edit:
        if value == "many":
            raise BadStoryboard("a whole number is needed", ("steps",))
        return setting("steps", int)(board, value)

    with pytest.raises(BadStoryboard):
        save_field(service, project, "steps", "many", seen=[""], make=make)
    save_field(service, project, "steps", "5", seen=["", "many"], make=make)
    assert service.projects.storyboard(project).settings.steps == 5
