from __future__ import annotations

from typing import Any

import pytest

from studio.domain.errors import BadStoryboard
from studio.domain.first_frame import FirstFrame, first_frame
from studio.domain.settings import MAX_LORAS, Lora, Settings, together

INK = Lora(file="ink.safetensors")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("negative_prompt", "\x07", "control character"),
        ("scheduler", "ddim", "must be one of euler, unipc, dpm\\+\\+, got 'ddim'"),
        ("shift", 0.0, "must lie within"),
        ("shift", float("nan"), "finite"),
        ("guidance_2", 31.0, "must lie within 0–30"),
        ("loras", (INK, INK), "the same LoRA is there twice"),
        ("loras", tuple(Lora(file=f"{n}") for n in range(MAX_LORAS + 1)), "at most 16 LoRAs"),
        ("step_cache", "tea", "must be one of first-block, mag, taylor"),
        ("memory_policy", "every third", "memory policy"),
        ("router", "the latest", "name of a router"),
        ("keyframes", 0, "must lie within"),
        ("memory_storage", "int4", "must be one of full, int8"),
        ("positions", "end", "must be one of continue, clamp, restart"),
    ],
)
def test_settings_without_sense_are_refused_with_their_field(field: str, value: Any, says: str) -> None:
    with pytest.raises(BadStoryboard, match=says) as refused:
        Settings(**{field: value})
    assert refused.value.field == (field,)


@pytest.mark.parametrize(
    ("field", "value"), [("file", " "), ("weight", 11.0), ("weight", float("nan")), ("expert", "middle")]
)
def test_loras_without_sense_are_refused(field: str, value: Any) -> None:
    with pytest.raises(BadStoryboard) as refused:
        Lora(**{"file": "ink", field: value})
    assert refused.value.field == (field,)


def test_loras_of_a_shot_replace_those_of_the_film() -> None:
    high, low = Lora(file="fast", expert="high"), Lora(file="fast", expert="low")
    weaker, off = Lora(file=INK.file, weight=0.5), Lora(file="fast", expert="low", weight=0.0)
    assert together((INK, high, low), ()) == (INK, high, low)
    assert together((INK, high, low), (weaker, off)) == (weaker, high)


@pytest.mark.parametrize(
    "text", ["previous", "shot:shot-12ab", f"picture:{'0f' * 32}", "file:C:\\bilder\\anfang ä.png"]
)
def test_first_frames_are_read_and_written(text: str) -> None:
    assert str(first_frame(text)) == text


@pytest.mark.parametrize(
    "text", ["", "next", "shot:", "shot:a b", "picture:0f", "file:", "file:a\nb", "take:a@1"]
)
def test_other_texts_are_no_first_frame(text: str) -> None:
    with pytest.raises(BadStoryboard, match="must be previous"):
        first_frame(text)


def test_a_first_frame_says_its_kind() -> None:
    assert first_frame("shot:b") == FirstFrame(kind="shot", name="b")
