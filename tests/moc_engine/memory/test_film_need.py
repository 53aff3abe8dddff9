"""What a planned film needs with a published Wan model."""

from __future__ import annotations

import pytest

from moc_engine.config import MemoryConfig
from moc_engine.memory.estimate import MemoryModel
from moc_engine.memory.film_need import ContextBudget, FilmNeed, film_need
from moc_engine.model_memory import predicted_need, wan_size
from moc_engine.profiles import GIB, PROFILES, SHARED
from tests.moc_engine.test_model_memory import UMT5_XXL, WAN_1_3B

CONFIGS = {
    "transformer": WAN_1_3B,
    "text_encoder": UMT5_XXL,
    "vae": {"z_dim": 16, "base_dim": 96, "scale_factor_spatial": 8},
}
SHOT = (16, 21, 60, 104)
KEY_FRAMES = MemoryConfig(policy="change", keyframes=8, storage="int8")
CARD_OF_24_GB = next(profile for profile in PROFILES if profile.name == "24gb")


def need(shots: int, memory: MemoryConfig) -> FilmNeed:
    return film_need(
        wan_size(CONFIGS), CARD_OF_24_GB, [SHOT] * shots, memory, device_memory=24 * GIB, host_memory=64 * GIB
    )


def test_a_first_shot_needs_what_the_model_needs() -> None:
    plain = predicted_need(wan_size(CONFIGS), CARD_OF_24_GB, SHOT)
    found = need(1, KEY_FRAMES)
    assert (found.device, found.host, found.disk) == (plain.device, plain.host, 0)


def test_twelve_shots_fit_a_card_of_24_gb_and_64_gb_of_memory_as_key_frames_in_8_bits() -> None:
    found = need(12, KEY_FRAMES)
    assert found.device < 24 * GIB
    assert found.host < 64 * GIB
    assert found.disk == 0


def test_everything_in_full_needs_files_and_moves_far_more() -> None:
    everything, key_frames = need(12, MemoryConfig()), need(12, KEY_FRAMES)
    assert everything.disk > 0
    moved = everything.context.copied_per_step
    assert moved > 5 * key_frames.context.copied_per_step > 0


def test_what_the_device_needs_stops_growing_with_the_story() -> None:
    assert need(40, KEY_FRAMES).device == pytest.approx(need(20, KEY_FRAMES).device, rel=0.05)


def test_a_memory_has_the_tokens_of_the_latents() -> None:
    model = MemoryModel.of_size(wan_size(CONFIGS), (60, 104))
    assert (model.layers, model.heads, model.head_size, model.frame_tokens) == (30, 12, 128, 1560)


def test_on_a_cpu_all_is_in_main_memory() -> None:
    found = film_need(
        wan_size(CONFIGS), SHARED, [SHOT] * 3, KEY_FRAMES, device_memory=0, host_memory=64 * GIB, on_cpu=True
    )
    assert (found.device, found.context.device) == (0, 0)
    assert found.host > found.context.host > 0


def test_memories_keep_within_the_budget_that_is_asked_for() -> None:
    asked = ContextBudget(device=GIB, host=2 * GIB)
    found = film_need(
        wan_size(CONFIGS),
        CARD_OF_24_GB,
        [SHOT] * 12,
        KEY_FRAMES,
        device_memory=24 * GIB,
        host_memory=64 * GIB,
        budget=asked,
    )
    assert found.context.device < GIB
    assert found.context.host < 2 * GIB
    assert found.disk > 0
    assert found.context.total == need(12, KEY_FRAMES).context.total


def test_a_film_without_shots_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no shots"):
        need(0, KEY_FRAMES)
