"""What a person may set, at the door: plain values in, or an error that names the argument."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from moc_engine.config import (
    GREATEST_BOOST,
    MemoryChoice,
    MemoryConfig,
    RoutingConfig,
    SamplerChoice,
    SamplerConfig,
    Steering,
)


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        (RoutingConfig, "top_k", 1.5),
        (RoutingConfig, "top_k", -1),
        (RoutingConfig, "outer_shots", 2.0),
        (RoutingConfig, "outer_shots", 0),
        (RoutingConfig, "full_below", -1),
        (RoutingConfig, "full_below", 0.5),
        (RoutingConfig, "full_below", "never"),
        (RoutingConfig, "drop_off", 1.1),
        (RoutingConfig, "drop_in", float("inf")),
        (RoutingConfig, "chunking", "slot"),
        (SamplerConfig, "steps", 2.5),
        (SamplerConfig, "steps", 0),
        (SamplerConfig, "guidance", float("nan")),
        (SamplerConfig, "guidance_floor", 1.1),
        (SamplerConfig, "guidance_floor", float("nan")),
        (SamplerConfig, "memory_noise", 1.0),
        (SamplerConfig, "scheduler", "ddim"),
        (SamplerConfig, "shift", 0.0),
        (SamplerConfig, "shift", float("nan")),
        (SamplerConfig, "guidance_2", 31.0),
        (SamplerConfig, "guidance_2", float("nan")),
        (MemoryConfig, "policy", "none"),
        (MemoryConfig, "keyframes", 0),
        (MemoryConfig, "keyframes", 1.5),
        (MemoryConfig, "storage", "int4"),
        (MemoryConfig, "positions", "end"),
        (MemoryChoice, "policy", "none"),
        (Steering, "pins", 0),
        (Steering, "pins", "a"),
        (Steering, "bans", (0.5,)),
        (Steering, "pin_chunks", None),
        (Steering, "ban_chunks", ("1",)),
        (Steering, "boosts", [(0, 1.0)]),
        (Steering, "boosts", {0: "strong"}),
        (Steering, "boosts", {0.5: 1.0}),
        (Steering, "boosts", {0: float("nan")}),
        (Steering, "boosts", {0: 1e39}),
        (Steering, "boosts", {0: -2 * GREATEST_BOOST}),
    ],
)
def test_values_without_sense_are_named(kind: Any, argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        kind(**{argument: value})


def test_any_whole_numbers_and_mappings_become_plain_ones() -> None:
    boosts: Any = MappingProxyType({np.int64(3): np.float32(0.5)})
    shots: Any = np.array([1, 2])
    two: Any = np.int64(2)
    steering = Steering(pins=shots, bans=(two - 2,), boosts=boosts)
    assert steering == Steering(pins=(1, 2), bans=(0,), boosts={3: 0.5})
    json.dumps(asdict(steering))
    json.dumps(asdict(RoutingConfig(top_k=two, outer_shots=two, full_below=two)))


def test_a_shot_cannot_be_pinned_and_banned() -> None:
    with pytest.raises(ValueError, match="pins: shot 1 is both"):
        Steering(pins=(1,), bans=(0, 1))
    with pytest.raises(ValueError, match="pin_chunks: chunk 4 is both"):
        Steering(pin_chunks=(4,), ban_chunks=(4,))


def test_guidance_ends_below_its_floor() -> None:
    sampler = SamplerConfig(guidance=2.0, guidance_floor=0.5)
    guided = {level: sampler.guidance_at(level) for level in (1.0, 0.5, 0.5 - 1e-9, 0.49)}
    assert guided == {1.0: 2.0, 0.5: 2.0, 0.5 - 1e-9: 2.0, 0.49: 1.0}


def test_low_noise_has_a_guidance_of_its_own() -> None:
    both = SamplerConfig(guidance=4.0, guidance_2=3.0)
    assert [both.guidance_at(level, 0.875) for level in (0.875, 0.874)] == [4.0, 3.0]
    assert SamplerConfig(guidance=4.0).guidance_at(0.1, 0.875) == 4.0


def test_a_choice_of_memory_is_put_over_that_of_the_model() -> None:
    own = MemoryConfig(policy="change", storage="int8")
    assert MemoryChoice().over(own) == own
    chosen = MemoryChoice(policy="first-last", keyframes=2, positions="clamp").over(own)
    assert chosen == MemoryConfig(policy="first-last", keyframes=2, storage="int8", positions="clamp")
    with pytest.raises(ValueError, match=r"^keyframes: "):
        MemoryChoice(keyframes=0).over(own)


def test_a_chosen_guidance_holds_for_both_experts_unless_the_second_is_chosen_too() -> None:
    own = SamplerConfig(guidance=4.0, guidance_2=3.0)
    assert SamplerChoice().over(own) == own
    assert SamplerChoice(guidance=1.0).over(own) == SamplerConfig(guidance=1.0)
    assert SamplerChoice(guidance_2=2.0).over(own) == SamplerConfig(guidance=4.0, guidance_2=2.0)
    both = SamplerChoice(guidance=1.0, guidance_2=2.0, scheduler="unipc", shift=5.0).over(own)
    assert both == SamplerConfig(guidance=1.0, guidance_2=2.0, scheduler="unipc", shift=5.0)
