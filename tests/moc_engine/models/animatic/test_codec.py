"""The codec: exact latents, frames of any size, and random values."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moc_engine.models.animatic.codec import AnimaticCodec
from moc_engine.models.animatic.scene import CHANNELS, SETS, SHAPES, SLOTS, Scene


def simple_scene(kind: str = "meadow", frames: int = 6) -> Scene:
    scene = Scene.empty(frames)
    scene.set["kind"][:, SETS.index(kind)] = 1.0
    actor = scene.characters[0]
    actor["presence"] = 1.0
    actor["shape"][:, SHAPES.index("round")] = 1.0
    actor["body"] = (-0.05, 0.17, 0.08)
    actor["accent"] = (0.1, -0.1, 0.0)
    actor["eye"] = 1.0
    actor["pupil"] = 1.0
    for angle in ("yaw", "roll", "phase"):
        actor[angle] = (1.0, 0.0)
    return scene


finite_or_not = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (3, SLOTS, CHANNELS), elements=st.floats(-100, 100, width=32)))
def test_encode_then_decode_is_exact(values: np.ndarray) -> None:
    scene = Scene(values)
    assert np.array_equal(AnimaticCodec.decode(AnimaticCodec.encode(scene)).values, values)


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (200, 200), (420, 180), (161, 91)])
def test_frames_have_the_requested_size(size: tuple[int, int]) -> None:
    picture = AnimaticCodec(size, 24.0).picture(simple_scene(), 0.4)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


def test_frame_count_is_seconds_times_rate_and_frames_are_independent() -> None:
    frames = list(AnimaticCodec((160, 90), 12.0).frames(simple_scene(), 0.75))
    assert len(frames) == 9
    assert not np.shares_memory(frames[0], frames[1])


def test_the_same_scene_gives_the_same_frames() -> None:
    scene = simple_scene("beach")
    scene.camera["rain"] = 1.0
    scene.camera["zoom"] = np.linspace(0.0, 0.8, len(scene))
    first = list(AnimaticCodec((160, 90), 6.0).frames(scene, 1.0))
    second = list(AnimaticCodec((160, 90), 6.0).frames(scene, 1.0))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_picture_equals_the_frame_at_its_time() -> None:
    scene, codec = simple_scene("desert"), AnimaticCodec((160, 90), 6.0)
    scene.characters[0]["x"] = np.linspace(-0.4, 0.4, len(scene))
    third = list(codec.frames(scene, 1.0))[2]
    assert np.array_equal(codec.picture(scene, 2.5 / 6.0), third)


def test_frames_do_not_depend_on_when_they_are_taken() -> None:
    """One is finished while the next is drawn; a drawing that is reused too early would show."""
    scene, codec = simple_scene("beach"), AnimaticCodec((320, 180), 12.0)
    scene.characters[0]["x"] = np.linspace(-0.4, 0.4, len(scene))
    scene.camera["roll"] = np.linspace(-0.1, 0.1, len(scene))
    frames = list(codec.frames(scene, 1.0))
    for number, frame in enumerate(frames):
        assert np.array_equal(codec.picture(scene, (number + 0.5) / 12.0), frame)
    half = codec.frames(scene, 1.0)
    assert np.array_equal(next(half), frames[0])
    assert isinstance(half, Generator)
    half.close()


def test_a_preview_is_nearly_the_picture() -> None:
    scene, codec = simple_scene("beach"), AnimaticCodec((320, 180), 12.0)
    scene.camera["zoom"] = np.linspace(0.0, 0.8, len(scene))
    preview, picture = codec.preview(scene, 0.5).astype(int), codec.picture(scene, 0.5)
    assert 0 < np.abs(preview - picture).mean() < 4


@settings(max_examples=12, deadline=None)
@given(arrays(np.float32, (3, SLOTS, CHANNELS), elements=finite_or_not), st.integers(0, 2**32 - 1))
def test_random_values_can_be_painted(values: np.ndarray, seed: int) -> None:
    wild = np.random.default_rng(seed).normal(0.0, 3.0, values.shape).astype(np.float32)
    for nonsense in (values, wild):
        frames = list(AnimaticCodec((96, 54), 3.0).frames(Scene(nonsense), 0.5))
        assert frames[0].shape == (54, 96, 3)


def test_a_scene_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="scene"):
        AnimaticCodec((96, 54), 3.0).picture(Scene.empty(0), 0.0)


@pytest.mark.parametrize("size", [(0, 90), (160, -1), (9000, 90)])
def test_sizes_out_of_range_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size"):
        AnimaticCodec(size, 24.0)


@pytest.mark.parametrize("fps", [0.0, -3.0, float("nan"), float("inf"), 1e6])
def test_rates_out_of_range_are_refused(fps: float) -> None:
    with pytest.raises(ValueError, match="fps"):
        AnimaticCodec((160, 90), fps)


@pytest.mark.parametrize("seconds", [0.0, float("nan"), float("inf")])
def test_durations_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        next(AnimaticCodec((160, 90), 24.0).frames(simple_scene(), seconds))
