"""A take gives its shot back all that the shot itself decides of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moc_engine.abilities import ABILITIES
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetLane, SetSettings
from studio.domain.edits.restore import Restore
from studio.domain.edits.shot_inputs import (
    SetCaption,
    SetFirstFrame,
    SetGuide,
    SetLoras,
    SetNegativePrompt,
    SetSeed,
    Steer,
)
from studio.domain.edits.timeline import Trim
from studio.domain.finished_take import FinishedTake
from studio.domain.planner import shot_statuses, wanted_seed
from studio.domain.project import Project
from studio.domain.settings import Lora, Settings
from tests.fakes.edits import STORY, made, shot_of
from tests.fakes.projects import MODEL, project, rendered, take_of

FACE = f"picture:{'0' * 64}"
FILM = Settings(negative_prompt="dark", loras=(Lora(file="film"),))


def changed(edits: list[Edit], now: Project, takes: dict[str, FinishedTake]) -> Project:
    for edit in edits:
        now = edit.apply(now, takes)
    return now


def with_take(now: Project, takes: dict[str, FinishedTake], files: tuple[str, ...]) -> str:
    """Renders shot c; returns the take."""
    index = now.index_of("c")
    assert index is not None
    take = replace(take_of(shot_statuses(now, takes, MODEL)[index], now.board.shots[index].caption))
    takes[take.id] = replace(take, lora_files=files)
    return take.id


def test_a_take_gives_its_settings_back() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["b"]
    edited = SetCaption(shot="b", caption="Otto sits").apply(done, takes)
    edited = Trim(shot="b", trim=1.0, seconds=1.0).apply(edited, takes)
    edited = SetSeed(shot="b", seed=99).apply(edited, takes).choosing("b", None)
    now = Restore(shot="b", take=take).apply(edited, takes)
    shot = shot_of(now, "b")
    assert (shot.caption, shot.trim, shot.seconds) == (STORY[1], 0.0, 3.0)
    assert shot.seed == takes[take].inputs.seed
    assert shot_statuses(now, takes, MODEL)[1].state == "fresh"


def test_a_rolled_take_given_back_stays_fresh() -> None:
    done, takes = rendered(project(*STORY))
    old = takes[done.chosen["a"]]
    asked = wanted_seed(done.board, 0, None)
    takes["rolled"] = replace(old, id="rolled", inputs=replace(old.inputs, seed=5), rolled_from=asked)
    now = Restore(shot="a", take="rolled").apply(done, takes)
    assert shot_statuses(now, takes, MODEL)[0].state == "fresh"


OWN: list[list[Edit]] = [
    [],
    [SetNegativePrompt(shot="c", negative_prompt="blurred")],
    [SetNegativePrompt(shot="c", negative_prompt="")],
    [SetLoras(shot="c", loras=(Lora(file="own", weight=0.5, expert="high"),))],
    [SetLoras(shot="c", loras=(Lora(file="film", weight=0.0),))],
    [SetLoras(shot="c", loras=(Lora(file="film", weight=2.0), Lora(file="own")))],
    [SetFirstFrame(shot="c", first_frame=FACE)],
    [SetFirstFrame(shot="c", first_frame="previous")],
    [SetFirstFrame(shot="c", first_frame="shot:a")],
    [Steer(shot="c", pins=("a", "b/Otto"), boosts={"b": 2.0})],
    [Steer(shot="c", bans=("b",))],
]


def files_of(now: Project) -> tuple[str, ...]:
    merged = {lora.file: lora for lora in (*now.board.settings.loras, *shot_of(now, "c").loras)}
    return tuple(lora.file for lora in merged.values() if lora.weight)


@pytest.mark.parametrize("before", OWN)
@pytest.mark.parametrize("after", OWN)
def test_what_is_the_shots_own_comes_back(before: list[Edit], after: list[Edit]) -> None:
    done, takes = rendered(project(*STORY, settings=FILM))
    then = changed(before, done, takes)
    take = with_take(then, takes, files_of(then))
    now = Restore(shot="c", take=take).apply(changed(after, done, takes), takes)
    assert shot_statuses(now, takes, MODEL)[2].inputs == takes[take].inputs
    assert shot_statuses(now, takes, MODEL)[2].state == "fresh"
    assert shot_of(now, "c").negative_prompt == shot_of(then, "c").negative_prompt
    assert shot_of(now, "c").loras == shot_of(then, "c").loras


def test_what_the_film_says_by_now_is_the_shots_own_after_it_came_back() -> None:
    done, takes = rendered(project(*STORY, settings=FILM))
    take = with_take(done, takes, ("film",))
    settings = replace(FILM, negative_prompt="bright", loras=(Lora(file="new"),))
    now = Restore(shot="c", take=take).apply(SetSettings(settings=settings).apply(done, takes), takes)
    shot = shot_of(now, "c")
    assert (shot.negative_prompt, shot.loras) == ("dark", (Lora(file="film"), Lora(file="new", weight=0.0)))
    assert shot_statuses(now, takes, MODEL)[2].inputs == takes[take].inputs


def test_what_the_takes_model_cannot_do_stays_as_it_is() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["c"]
    edits: list[Edit] = [*OWN[1], *OWN[3], *OWN[6]]
    now = changed(edits, done, takes)
    kept = shot_of(Restore(shot="c", take=take, lacks=ABILITIES).apply(now, takes), "c")
    assert (kept.negative_prompt, kept.first_frame) == ("blurred", FACE)
    assert kept.loras == shot_of(now, "c").loras
    cleared = shot_of(Restore(shot="c", take=take).apply(now, takes), "c")
    assert (cleared.negative_prompt, cleared.first_frame, cleared.loras) == (None, None, ())


def test_loras_of_which_no_file_is_known_stay_as_they_are() -> None:
    done, takes = rendered(project(*STORY))
    then = changed(OWN[3], done, takes)
    take = with_take(then, takes, ())
    now = Restore(shot="c", take=take).apply(done, takes)
    assert shot_of(now, "c").loras == ()


def test_steering_of_shots_that_the_take_did_not_see_stays() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["a"]
    now = Restore(shot="a", take=take).apply(Steer(shot="a", bans=("d",)).apply(done, takes), takes)
    assert shot_of(now, "a").bans == ("d",)


@pytest.mark.parametrize("film", [(None, None), (0.5, None), (None, 1.0)])
@pytest.mark.parametrize("before", [(None, None), (0.3, None), (1.0, None), (None, 0.8)])
@pytest.mark.parametrize("after", [(None, None), (0.4, None), (None, 0.7)])
def test_the_use_of_the_draft_comes_back_in_finals(
    film: tuple[float | None, float | None],
    before: tuple[float | None, float | None],
    after: tuple[float | None, float | None],
) -> None:
    done, takes = rendered(project(*STORY))
    settings = Settings(model="maker/video", guide_strength=film[0], control_scale=film[1])
    finals = SetSettings(settings=settings).apply(done, takes)
    then = SetGuide(shot="c", guide_strength=before[0], control_scale=before[1]).apply(finals, takes)
    take = with_take(then, takes, ())
    edited = SetGuide(shot="c", guide_strength=after[0], control_scale=after[1]).apply(finals, takes)
    now = Restore(shot="c", take=take).apply(edited, takes)
    inputs = shot_statuses(now, takes, MODEL)[2].inputs
    assert inputs.guide_strength == takes[take].inputs.guide_strength
    assert inputs.control_scale == takes[take].inputs.control_scale
    draft = SetLane(lane="draft").apply(edited, takes)
    kept = shot_of(Restore(shot="c", take=done.chosen["c"]).apply(draft, takes), "c")
    assert (kept.guide_strength, kept.control_scale) == after


def test_a_take_that_is_restored_without_changes_changes_nothing() -> None:
    done, takes = rendered(made(SetSeed(shot="a", seed=7)))
    assert Restore(shot="a", take=done.chosen["a"]).apply(done, takes) == done
