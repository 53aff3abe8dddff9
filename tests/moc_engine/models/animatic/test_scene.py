import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.models.animatic.scene import (
    CHANNELS,
    GAINS,
    LATENT_RATE,
    PATCH_FRAMES,
    SLOT_FIELDS,
    SLOT_NAMES,
    SLOTS,
    Scene,
    frame_times,
    frames_for,
)


def test_latents_round_trip_bit_for_bit() -> None:
    values = np.random.default_rng(0).normal(size=(6, SLOTS, CHANNELS)).astype(np.float32)
    assert np.array_equal(Scene.from_latents(Scene(values).to_latents()).values, values)


def test_every_gain_is_a_power_of_two() -> None:
    mantissas, _ = np.frexp(GAINS)
    assert set(np.unique(mantissas)) == {0.5}


def test_fields_of_a_slot_do_not_overlap() -> None:
    for slot, fields in enumerate(SLOT_FIELDS):
        scene = Scene.empty(1)
        for number, field in enumerate(fields, start=1):
            scene.track(slot)[field.name] = number
        for number, field in enumerate(fields, start=1):
            assert np.all(scene.track(slot)[field.name] == number), (SLOT_NAMES[slot], field.name)


def test_a_track_is_a_view() -> None:
    scene = Scene.empty(3)
    scene.characters[1]["x"] = 0.5
    assert np.count_nonzero(scene.values) == 3


def test_an_error_names_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match="values"):
        Scene(np.zeros((3, SLOTS, CHANNELS + 1), dtype=np.float32))


@given(st.floats(0.05, 30.0))
def test_frames_cover_the_shot_in_whole_tokens(seconds: float) -> None:
    frames = frames_for(seconds)
    assert frames % PATCH_FRAMES == 0
    assert frames / LATENT_RATE >= seconds - 1e-5
    assert (frames - PATCH_FRAMES) / LATENT_RATE < seconds or frames == PATCH_FRAMES
    assert frame_times(frames)[-1] < frames / LATENT_RATE
