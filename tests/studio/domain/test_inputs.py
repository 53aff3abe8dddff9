"""The record of a take's inputs, and the id that follows from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import pytest

from studio.domain.inputs import INPUTS_VERSION, TakeFrame, TakeInputs, check_record, take_frame
from studio.store.documents import inputs_from_json, inputs_to_json

INPUTS = TakeInputs(
    model="animatic@0123456789abcdef",
    caption="Mira waves",
    global_caption="",
    cast=("Otto", "Mira"),
    seconds=2.0,
    fps=Fraction(24),
    size=(832, 480),
    seed=7,
)
ID = "71ce0517ab1fc07b"


def test_equal_inputs_give_the_same_id_in_every_version() -> None:
    """Changing this id outdates every take there is: it needs a migration."""
    assert INPUTS.take_id == ID


CHANGES: dict[str, Any] = {
    "model": "animatic@fedcba9876543210",
    "caption": "Otto waves",
    "global_caption": "ink",
    "cast": ("Mira", "Otto"),
    "seconds": 2.5,
    "fps": Fraction(25),
    "size": (480, 832),
    "seed": 8,
    "steps": 20,
    "guidance": 3.0,
    "top_k": 2,
    "full_below": 8192,
    "context": ("a",),
    "pins": ("a",),
    "bans": ("a",),
    "boosts": {"a": 1.0},
    "negative_prompt": "",
    "scheduler": "unipc",
    "shift": 3.0,
    "guidance_2": 3.0,
    "loras": (("0123456789abcdef", 0.5, "high"),),
    "first_frame": "take:71ce0517ab1fc07b@47",
    "step_cache": "mag",
    "memory_policy": "first-last",
    "keyframes": 4,
    "memory_storage": "int8",
    "positions": "clamp",
    "router": "window",
    "guide": "71ce0517ab1fc07b",
    "guide_strength": 0.6,
    "references": ("0" * 64,),
    "control": "71ce0517ab1fc07b",
    "control_scale": 0.8,
}


@pytest.mark.parametrize("name", [field.name for field in fields(TakeInputs)])
def test_every_field_is_part_of_the_id_and_survives_json(name: str) -> None:
    changed = replace(INPUTS, **{name: CHANGES[name]})
    assert changed.take_id != INPUTS.take_id
    assert inputs_from_json(json.loads(json.dumps(inputs_to_json(changed)))) == changed


def test_a_field_with_its_default_is_not_recorded() -> None:
    assert inputs_to_json(INPUTS).keys() == {
        "version",
        "model",
        "caption",
        "global_caption",
        "cast",
        "seconds",
        "fps",
        "size",
        "seed",
    }


@dataclass(frozen=True, kw_only=True)
class LaterInputs(TakeInputs):
    """A later version's, with a field more."""

    dreams: str = ""


def test_a_new_field_keeps_the_ids_of_earlier_takes() -> None:
    values = {field.name: getattr(INPUTS, field.name) for field in fields(TakeInputs)}
    assert LaterInputs(**values).take_id == INPUTS.take_id
    assert LaterInputs(**values, dreams="of rain").take_id != INPUTS.take_id


def test_a_name_that_no_caption_has_does_not_count() -> None:
    assert replace(INPUTS, cast=("Lou", "Mira")).take_id == INPUTS.take_id


@pytest.mark.parametrize(
    ("rate", "recorded"),
    [(Fraction(24), 24.0), (Fraction(25, 2), 12.5), (Fraction(24000, 1001), "24000/1001")],
)
def test_a_rate_is_recorded_as_a_number_where_that_is_exact(rate: Fraction, recorded: object) -> None:
    inputs = replace(INPUTS, fps=rate)
    assert inputs.record()["fps"] == recorded
    assert inputs_from_json(inputs.record()) == inputs


def test_records_of_a_later_version_are_refused() -> None:
    record = INPUTS.record()
    check_record(record)
    with pytest.raises(ValueError, match="inputs of version 3"):
        check_record({**record, "version": INPUTS_VERSION + 1})
    with pytest.raises(ValueError, match="unknown fields: lora"):
        check_record({**record, "lora": "x"})


def test_the_frame_of_a_take_is_read_from_its_text() -> None:
    frame = TakeFrame(take="71ce", frame=47)
    assert take_frame(str(frame)) == frame
    others = (
        None,
        "picture:ab",
        "shot:a@1",
        "take:71ce",
        "take:71ce@",
        "take:71ce@x",
        "take:@1",
        "take:a@-1",
    )
    assert not any(map(take_frame, others))
