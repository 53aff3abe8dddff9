from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moc_engine.contract import LARGEST_LORA_WEIGHT, Guide, Lora
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
