"""Fields of forms keep what was typed, and what others changed meanwhile."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from studio.domain.errors import BadStoryboard, NotThere, StaleRevision
from studio.service.field_edits import FIELDS, FieldEdits
from studio.service.form_values import shown
from studio.service.projects import Projects
from studio.service.studio import Service
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD


@pytest.fixture
def service(tmp_path: Path, database: Database) -> Service:
    return Service(tmp_path, database)


class Interrupted(Projects):
    """Somebody else edits the project each time it was read."""

    def __init__(self, service: Service, between: Sequence[Callable[[], object]]) -> None:
        self.__dict__.update(service.projects.__dict__)
        self._between = list(between)

    def revised_storyboard(self, project: str) -> Any:
        found = super().revised_storyboard(project)
        if self._between:
            self._between.pop(0)()
        return found


def test_a_setting_keeps_those_that_were_changed_while_it_was_read(service: Service) -> None:
    project = service.projects.create(BOARD)
    between = [
        lambda: service.fields.save(project, "steps", "2", seen=[""]),
        lambda: service.fields.save(project, "guidance", "3", seen=[""]),
    ]
    fields = FieldEdits(Interrupted(service, between), service.editing)
    fields.save(project, "shift", "7", seen=[""])
    settings = service.projects.storyboard(project).settings
    assert (settings.steps, settings.guidance, settings.shift) == (2, 3.0, 7.0)


def test_a_field_that_was_changed_elsewhere_is_not_overwritten(service: Service) -> None:
    project = service.projects.create(BOARD)
    service.fields.save(project, "steps", "9", seen=[""])
    with pytest.raises(StaleRevision):
        service.fields.save(project, "steps", "4", seen=[""])
    assert service.projects.storyboard(project).settings.steps == 9


def test_a_field_that_the_same_page_sent_before_is_overwritten(service: Service) -> None:
    """As it was typed: the field shows it in another form by now."""
    project = service.projects.create(BOARD)
    shown_first = shown(BOARD)["fps"]
    service.fields.save(project, "fps", "12,50", seen=[shown_first])
    service.fields.save(project, "fps", "16", seen=[shown_first, "12,50"])
    assert service.projects.storyboard(project).fps == 16


def test_a_value_without_sense_is_refused_and_one_sent_before_does_no_harm(service: Service) -> None:
    project = service.projects.create(BOARD)
    for name in ("steps", "guidance", "fps", "seed", "size", "full_below", "rerender_threshold"):
        with pytest.raises(BadStoryboard, match="many"):
            service.fields.save(project, name, "many", seen=[shown(BOARD)[name]])
    service.fields.save(project, "steps", "5", seen=["", "many"])
    assert service.projects.storyboard(project).settings.steps == 5
    with pytest.raises(NotThere, match="stepz"):
        service.fields.save(project, "stepz", "5", seen=[""])


@pytest.mark.parametrize(
    ("name", "typed", "then"),
    [
        ("title", "Another", "Another"),
        ("size", "640 x 360", "640x360"),
        ("fps", "12,5", "12.5"),
        ("seed", "7.0", "7"),
        ("cast", "Mira: red\n\nAda", "Mira: red\nAda"),
        ("model", " a/b ", "a/b"),
        ("negative_prompt", "fog", "fog"),
        ("no_negative_prompt", True, True),
        ("full_below", "AUTO", "auto"),
        ("rerender_threshold", 0.35, 0.35),
        ("looks", "every", "every"),
        ("scheduler", "unipc", "unipc"),
        ("guidance_2", "2,5", "2.5"),
        ("keyframes", "3", "3"),
    ],
)
def test_a_field_shows_what_was_typed_in_its_usual_form(
    service: Service, name: str, typed: Any, then: Any
) -> None:
    project = service.projects.create(BOARD)
    before = shown(BOARD)
    service.fields.save(project, name, typed, seen=[before[name]])
    after = shown(service.projects.storyboard(project))
    assert after[name] == then
    assert [other for other in before if after[other] != before[other]] == [name]


def test_every_field_has_a_value_to_show() -> None:
    assert FIELDS.keys() == shown(BOARD).keys()
