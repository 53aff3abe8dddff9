"""Drafts and finals of one project: takes, context and settings of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.domain.cut import cut_of
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetLane, SetSettings
from studio.domain.edits.replacement import ReplaceStoryboard
from studio.domain.edits.shot_inputs import SetGuide, SetLoras
from studio.domain.edits.take_choice import Discard
from studio.domain.edits.timeline import Delete, Duplicate, Split
from studio.domain.errors import BadStoryboard, Refused
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import RenderingModel
from studio.domain.planner import shot_statuses, take_in_film
from studio.domain.project import Project
from studio.domain.settings import Lora, Settings
from studio.service.reason_words import in_words
from tests.fakes.edits import STORY
from tests.fakes.projects import MODEL, project, rendered, take_of

REAL = Settings(model="maker/video", steps=50, guide_strength=0.6)
FINAL = RenderingModel(identity="video@1")

Takes = dict[str, FinishedTake]


def drafted() -> tuple[Project, Takes]:
    """A story of the embedded model, for which a real one was chosen: its takes are the drafts."""
    done, takes = rendered(project(*STORY))
    return SetSettings(settings=REAL).apply(done, takes), takes


def with_final(now: Project, takes: Takes, *shots: str) -> tuple[Project, Takes]:
    """The project with finals of these shots."""
    known = dict(takes)
    for shot in shots:
        index = now.index_of(shot)
        assert index is not None
        take = take_of(shot_statuses(now, known, FINAL)[index], now.board.shots[index].caption)
        known[take.id] = take
        now = now.choosing(shot, take.id)
    return now, known


def test_takes_of_the_embedded_model_become_drafts_and_guide_the_finals() -> None:
    now, takes = drafted()
    assert (now.lane, dict(now.chosen), set(now.drafts)) == ("final", {}, set("abcd"))
    first, second, *_ = shot_statuses(now, takes, FINAL)
    assert (first.state, first.due) == ("missing", True)
    assert (first.inputs.guide, first.inputs.guide_strength, first.inputs.steps) == (now.drafts["a"], 0.6, 50)
    assert second.context == ()  # no final is there yet
    back = SetSettings(settings=Settings()).apply(now, takes)
    assert (dict(back.chosen), back.drafts) == (dict(now.drafts), {})


def test_takes_stay_finals_where_another_model_is_chosen_for_drafts() -> None:
    done, takes = rendered(project(*STORY))
    now = SetSettings(settings=Settings(draft_model="maker/fast")).apply(done, takes)
    assert now.has_lanes
    assert (now.chosen, now.drafts) == (done.chosen, {})
    assert {status.state for status in shot_statuses(now, takes, MODEL)} == {"fresh"}
    assert SetSettings(settings=Settings()).apply(now, takes).chosen == done.chosen


def test_drafts_have_the_settings_of_their_model_and_no_guide() -> None:
    now, takes = drafted()
    drafts = now.in_lane("draft")
    assert {status.state for status in shot_statuses(drafts, takes, MODEL)} == {"fresh"}
    assert all(status.inputs.guide is None for status in shot_statuses(drafts, takes, MODEL))
    assert drafts.settings == Settings()


def test_loras_of_shots_are_left_out_of_drafts() -> None:
    now, takes = drafted()
    now = SetLoras(shot="a", loras=(Lora(file="ink"),)).apply(now, takes)
    assert [identity for identity, _, _ in shot_statuses(now, takes, FINAL)[0].inputs.loras] == ["ink"]
    draft = shot_statuses(now.in_lane("draft"), takes, MODEL)[0]
    assert (draft.inputs.loras, draft.state) == ((), "fresh")


def test_context_comes_from_the_same_lane() -> None:
    now, takes = with_final(*drafted(), "a")
    second = shot_statuses(now, takes, FINAL)[1]
    assert second.context == (("a", now.chosen["a"]),)
    second_draft = shot_statuses(now.in_lane("draft"), takes, MODEL)[1]
    assert second_draft.context == (("a", now.drafts["a"]),)


def test_the_film_shows_finals_where_there_are_any() -> None:
    now, takes = with_final(*drafted(), "b")
    shown = [clip.take.id for clip in cut_of(now, takes)]
    assert shown == [now.drafts["a"], now.chosen["b"], now.drafts["c"], now.drafts["d"]]
    assert [clip.take.id for clip in cut_of(now.in_lane("draft"), takes)] == shown
    gone = Discard(take=now.chosen["b"]).apply(now, takes)
    assert take_in_film(gone, takes, "b") == takes[now.drafts["b"]]


def test_a_final_is_outdated_by_another_draft_or_strength() -> None:
    now, takes = with_final(*drafted(), "a")
    told = ("the draft that guides it, or its strength, changed",)
    for edit in (
        SetGuide(shot="a", guide_strength=0.3),
        SetGuide(shot="a", guide_strength=1.0),
        Discard(take=now.drafts["a"]),
    ):
        first = shot_statuses(edit.apply(now, takes), takes, FINAL)[0]
        assert tuple(map(in_words, first.reasons)) == told
    unable = replace(FINAL, abilities=frozenset())
    assert shot_statuses(now, takes, unable)[1].inputs.guide is None


def test_a_draft_controls_a_final_instead_of_guiding_it() -> None:
    now, takes = with_final(*drafted(), "a")
    controlled = SetGuide(shot="a", control_scale=0.8).apply(now, takes)
    first, second, *_ = shot_statuses(controlled, takes, FINAL)
    inputs = first.inputs
    assert (inputs.control, inputs.control_scale, inputs.guide) == (now.drafts["a"], 0.8, None)
    assert (second.inputs.control, second.inputs.guide) == (None, now.drafts["b"])
    assert tuple(map(in_words, first.reasons)) == (
        "the draft that guides it, or its strength, changed",
        "the draft that controls it, or its scale, changed",
    )
    film = SetSettings(settings=replace(REAL, guide_strength=None, control_scale=1.0)).apply(now, takes)
    assert shot_statuses(film, takes, FINAL)[1].inputs.control == now.drafts["b"]
    alone = SetGuide(shot="b", guide_strength=1.0).apply(film, takes)
    assert shot_statuses(alone, takes, FINAL)[1].inputs.control is None
    unable = replace(FINAL, abilities=frozenset({"guide"}))
    assert shot_statuses(film, takes, unable)[1].inputs.control is None


def test_the_lane_is_switched_by_an_edit_where_models_differ() -> None:
    now, takes = drafted()
    switched = SetLane(lane="draft").apply(now, takes)
    assert switched.current == now.drafts
    assert SetLane(lane="final").apply(switched, takes) == now
    with pytest.raises(Refused, match="the same model"):
        SetLane(lane="draft").apply(project(*STORY), {})
    assert Project(board=project(*STORY).board, lane="draft").lane == "final"
    with pytest.raises(BadStoryboard, match="must lie within"):
        SetGuide(shot="a", guide_strength=0.0).apply(now, takes)


@pytest.mark.parametrize(
    "edit", [Split(shot="b", at=1.0, id="new"), Duplicate(shots=("b",)), Delete(shots=("c",))]
)
def test_edits_keep_both_lanes(edit: Edit) -> None:
    now, takes = with_final(*drafted(), "b")
    for lane in ("final", "draft"):
        after = edit.apply(now.in_lane(lane), takes)
        assert after.lane == lane
        assert (after.chosen["b"], after.drafts["b"]) == (now.chosen["b"], now.drafts["b"])
        assert ("c" in after.drafts) == (not isinstance(edit, Delete))
        if isinstance(edit, Split):
            assert (after.chosen["new"], after.drafts["new"]) == (now.chosen["b"], now.drafts["b"])


def test_another_storyboard_keeps_the_takes_of_both_lanes() -> None:
    now, takes = with_final(*drafted(), "b")
    edited = replace(now.board, title="Other")
    kept = ReplaceStoryboard(board=edited).apply(now, takes)
    assert (kept.chosen, kept.drafts) == (now.chosen, now.drafts)
