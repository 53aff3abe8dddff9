from __future__ import annotations

from dataclasses import replace

import pytest

from studio.domain.edits.edit import Edit
from studio.domain.edits.shot_inputs import (
    SetCaption,
    SetSeed,
)
from studio.domain.edits.take_choice import Choose, Discard, Restore
from studio.domain.edits.timeline import Trim
from studio.domain.errors import Refused
from studio.domain.planner import shot_statuses, wanted_seed
from tests.fakes.edits import STORY, made, shot_of
from tests.fakes.projects import MODEL, project, rendered


def test_another_take_is_chosen_and_a_discarded_one_cannot_be() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["b"]
    assert Choose(shot="c", take=take).apply(done, takes).chosen["c"] == take
    binned = Discard(take=take).apply(done, takes)
    assert binned.discarded == {take}
    assert "b" not in binned.chosen
    with pytest.raises(Refused, match="that take is not there any more"):
        Choose(shot="b", take=take).apply(binned, takes)


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


@pytest.mark.parametrize("edit", [Choose(shot="a", take="t"), Discard(take="t"), Restore(shot="a", take="t")])
def test_a_take_that_is_gone_cannot_be_used(edit: Edit) -> None:
    with pytest.raises(Refused, match="that take is not there any more"):
        made(edit)
