"""Drafts and finals through the queue: each render ends in its own lane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.edits.film import SetLane, SetSettings
from studio.domain.errors import Refused
from studio.domain.settings import Settings
from studio.service.state import ProjectState
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.unknown_model import UNKNOWN_MODEL

REAL = Settings(model=UNKNOWN_MODEL, guide_strength=0.6)


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def drafted(studio: Studio) -> tuple[str, ProjectState]:
    """A project rendered by the embedded model, for which a real one was chosen then."""
    project = studio.rendered()
    revision = studio.service.projects.state(project).revision
    return project, studio.service.editing.edit(project, SetSettings(settings=REAL), revision)


def test_drafts_guide_finals_that_the_film_then_shows(studio: Studio) -> None:
    project, before = drafted(studio)
    assert (before.lane, before.has_lanes, before.due) == ("final", True, 3)
    drafts = [shot.other_take for shot in before.shots]
    assert [shot.take for shot in before.shots] == [None] * 3
    assert all(drafts)
    assert {plan.lane for plan in studio.service.rendering.plan(project)} == {"final"}

    studio.service.rendering.render(project)
    studio.work()
    finals = studio.service.projects.state(project)
    assert [shot.state for shot in finals.shots] == ["fresh"] * 3
    assert [shot.other_take for shot in finals.shots] == drafts
    request = studio.renderer.requests[-1]
    assert request.guide is not None
    assert request.guide.strength == 0.6
    with (
        request.guide.clip.open() as clip,
        studio.service.files.media(project, str(drafts[2]), "clip").open() as draft,
    ):
        assert clip.read() == draft.read()
    assert [take.id for take in request.context] == [shot.take for shot in finals.shots[:2]]
    assert studio.service.files.export(project, "film.mp4").stat().st_size > 0

    again = studio.service.editing.edit(project, SetLane(lane="draft"), finals.revision)
    assert [(shot.take, shot.state) for shot in again.shots] == [(draft, "fresh") for draft in drafts]
    assert studio.service.editing.undo(project, again.revision).lane == "final"


def test_drafts_control_finals(studio: Studio) -> None:
    project = studio.rendered()
    revision = studio.service.projects.state(project).revision
    settings = Settings(model=UNKNOWN_MODEL, control_scale=0.8)
    before = studio.service.editing.edit(project, SetSettings(settings=settings), revision)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    request = studio.renderer.requests[-1]
    assert request.guide is None
    assert request.control is not None
    assert request.control.scale == 0.8
    draft = studio.service.files.media(project, str(before.shots[0].other_take), "clip")
    with request.control.clip.open() as clip, draft.open() as drafted:
        assert clip.read() == drafted.read()
    assert studio.service.projects.state(project).shots[0].state == "fresh"
    studio.service.rendering.reroll(project, "a", seed=99)
    studio.work()
    assert studio.renderer.requests[-1].control is not None


def test_a_render_ends_in_the_lane_it_was_ordered_for(studio: Studio) -> None:
    project, before = drafted(studio)
    studio.service.rendering.render(project, ("a",))
    studio.service.editing.edit(project, SetLane(lane="draft"), before.revision)
    studio.service.rendering.reroll(project, "a", seed=99)
    studio.work()
    drafts = studio.service.projects.state(project)
    draft, final = studio.renderer.requests[-2:]  # the final is made from the draft, and waited for it
    assert (draft.seed, draft.guide) == (99, None)
    assert final.guide is not None
    assert drafts.shots[0].take != before.shots[0].other_take
    assert drafts.shots[0].other_take is not None
    finals = studio.service.editing.edit(project, SetLane(lane="final"), drafts.revision)
    assert finals.shots[0].take == drafts.shots[0].other_take


def test_jobs_of_drafts_end_in_words_where_there_are_none_any_more(studio: Studio) -> None:
    project, before = drafted(studio)
    draft = studio.service.editing.edit(project, SetLane(lane="draft"), before.revision)
    studio.service.rendering.reroll(project, "a", seed=99)
    same = studio.service.editing.edit(project, SetSettings(settings=Settings()), draft.revision)
    assert (same.lane, same.has_lanes) == ("final", False)
    studio.work()
    assert studio.service.queue.state().jobs[0].error == (
        "drafts and finals have the same model: choose another one in the settings"
    )
    with pytest.raises(Refused, match="the same model"):
        studio.service.editing.edit(project, SetLane(lane="draft"), same.revision)


def test_both_lanes_travel_in_bundles_and_copies(studio: Studio) -> None:
    project, _ = drafted(studio)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    copy = studio.service.projects.duplicate(project)
    moved = studio.service.files.import_bundle(studio.service.files.export(project, "project.mocz"))
    here = studio.service.projects.state(project)
    for other in (copy, moved):
        there = studio.service.projects.state(other)
        assert [(shot.take, shot.other_take) for shot in there.shots] == [
            (shot.take, shot.other_take) for shot in here.shots
        ]


def test_a_storyboard_of_a_real_model_has_no_drafts_at_first(studio: Studio) -> None:
    project = studio.service.projects.create(replace(BOARD, settings=REAL))
    state = studio.service.projects.state(project)
    assert (state.has_lanes, [shot.other_take for shot in state.shots]) == (True, [None] * 3)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    assert studio.renderer.requests[-1].guide is None
