from __future__ import annotations

from typing import Any

import pytest

from studio.domain.edits.shot_inputs import (
    SetCaption,
    SetSeed,
    Steer,
)
from studio.domain.errors import Refused
from tests.fakes.edits import made, shot_of


def test_captions_are_written_on_one_line() -> None:
    assert shot_of(made(SetCaption(shot="b", caption="  Otto \n\tsits ")), "b").caption == "Otto sits"
    assert shot_of(made(SetCaption(shot="b", caption=" \n ")), "b").caption == ""


def test_a_shot_has_a_seed_and_steering_of_its_own() -> None:
    assert shot_of(made(SetSeed(shot="b", seed=7)), "b").seed == 7
    assert shot_of(made(SetSeed(shot="b", seed=None), made(SetSeed(shot="b", seed=7))), "b").seed is None
    steered = shot_of(made(Steer(shot="d", pins=("a",), bans=("b",), boosts={"c": 2.0})), "d")
    assert (steered.pins, steered.bans, steered.boosts) == (("a",), ("b",), {"c": 2.0})


@pytest.mark.parametrize(
    "other", [{"pins": ("b",)}, {"bans": ("b",)}, {"boosts": {"b": 1.0}}, {"pins": ("b/Mira",)}]
)
def test_a_shot_cannot_steer_itself(other: Any) -> None:
    with pytest.raises(Refused, match="itself"):
        made(Steer(shot="b", **other))
