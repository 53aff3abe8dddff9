"""Pictures of the cast as references of shots: which a shot gets, and what they make outdated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.domain.edits.cast import SetCast, SetCastPicture
from studio.domain.edits.edit import Edit
from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.finished_take import FinishedTake
from studio.domain.planner import shot_statuses
from studio.domain.project import Project
from studio.domain.storyboard import CastMember
from studio.service.reason_words import in_words
from tests.fakes.edits import STORY
from tests.fakes.projects import MODEL, project, rendered

MIRA, OTTO, OTHER = (f"picture:{digit * 64}" for digit in "012")
CAST = (CastMember(name="Mira", look="red", picture=MIRA), CastMember(name="Otto", picture=OTTO))


def pictured() -> tuple[Project, dict[str, FinishedTake]]:
    return rendered(project(*STORY, cast=CAST))


def references(now: Project, takes: dict[str, FinishedTake], abilities: frozenset[str] | None = None) -> str:
    """The first digit of each digest, a word per shot."""
    statuses = shot_statuses(now, takes, replace(MODEL, abilities=abilities))
    return " ".join("".join(digest[0] for digest in status.inputs.references) or "-" for status in statuses)


def test_a_shot_refers_to_the_pictures_of_those_its_caption_names() -> None:
    now, takes = pictured()
    assert references(now, takes) == "0 1 01 1"
    turned = SetCast(cast=CAST[::-1]).apply(now, takes)
    assert references(turned, takes) == "0 1 10 1"
    assert references(now, takes, frozenset()) == "- - - -"
    assert references(now, takes, frozenset({"references"})) == "0 1 01 1"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (SetCastPicture(name="Mira", picture=OTHER), {"a": "Mira's picture changed"}),
        (SetCastPicture(name="Mira", picture=None), {"a": "Mira's picture changed"}),
        (
            SetCast(cast=(replace(CAST[0], picture=OTHER), replace(CAST[1], picture=None))),
            {"b": "Otto's picture changed", "c": "the pictures of Mira and Otto changed"},
        ),
        (
            SetCast(cast=(replace(CAST[0], picture=OTTO), replace(CAST[1], picture=MIRA))),
            {"a": "Mira's picture changed", "c": "the order of the cast's pictures changed"},
        ),
        (
            SetCast(cast=(CAST[1],)),
            {"a": "somebody whose picture it was made with is not in the cast any more"},
        ),
        (SetCaption(shot="a", caption="Otto waves in the meadow"), {"a": "caption changed"}),
    ],
)
def test_another_picture_makes_the_shots_outdated_that_show_whom_it_shows(
    edit: Edit, told: dict[str, str]
) -> None:
    done, takes = pictured()
    found = {status.shot: status for status in shot_statuses(edit.apply(done, takes), takes, MODEL)}
    for shot, reason in told.items():
        assert (found[shot].state, found[shot].due) == ("outdated", True)
        assert reason in map(in_words, found[shot].reasons)
    assert references(done, takes) == "0 1 01 1"


def test_a_first_picture_is_a_change_where_the_model_can_use_it() -> None:
    done, takes = rendered(project(*STORY))
    now = SetCastPicture(name="Otto", picture=OTTO).apply(done, takes)
    reasons = [tuple(map(in_words, status.reasons)) for status in shot_statuses(now, takes, MODEL)]
    assert [told[:1] for told in reasons[:3]] == [(), *[("Otto's picture changed",)] * 2]
    unable = replace(MODEL, abilities=frozenset())
    assert {status.state for status in shot_statuses(now, takes, unable)} == {"fresh"}


def test_a_picture_that_was_not_read_is_named_as_it_stands() -> None:
    unread = SetCastPicture(name="Mira", picture="file:mira.png").apply(project(*STORY), {})
    assert shot_statuses(unread, {}, MODEL)[0].inputs.references == ("file:mira.png",)
