from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moc_engine.contract import LARGEST_CONTROL_SCALE, LARGEST_LORA_WEIGHT, Control, Guide, Lora
from moc_engine.stored_file import LocalFile


@pytest.mark.parametrize(
    ("argument", "value"),
    [("source", " "), ("weight", float("nan")), ("weight", -2 * LARGEST_LORA_WEIGHT), ("expert", "middle")],
)
def test_values_of_a_lora_without_sense_are_named(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        Lora(**{"source": "look.safetensors", argument: value})


@pytest.mark.parametrize("strength", [0.0, 1.1, -0.5, float("nan"), float("inf")])
def test_a_guide_has_a_strength_within_0_and_1(strength: float) -> None:
    clip = LocalFile(Path("draft.mp4"))
    with pytest.raises(ValueError, match=r"^strength: "):
        Guide(clip=clip, strength=strength)
    assert Guide(clip=clip, strength=1.0).clip == clip


@pytest.mark.parametrize("scale", [0.0, -1.0, 1.01 * LARGEST_CONTROL_SCALE, float("nan"), float("inf")])
def test_control_has_a_scale_above_0_within_a_limit(scale: float) -> None:
    clip = LocalFile(Path("draft.mp4"))
    with pytest.raises(ValueError, match=r"^scale: must be above 0 and at most 2, got "):
        Control(clip=clip, scale=scale)
    assert Control(clip=clip).scale == 1.0
    assert Control(clip=clip, scale=LARGEST_CONTROL_SCALE).clip == clip
