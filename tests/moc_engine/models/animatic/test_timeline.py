"""Timelines: interpolation between latent frames, ranges and the removal of noise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from moc_engine.models.animatic.scene import CHARACTER_SLOTS, SHAPES, Scene, Track, frame_times
from moc_engine.models.animatic.timeline import Timeline


def actor_at(timeline: Timeline, time: float) -> Track:
    return Track(timeline.at(time)[None, CHARACTER_SLOTS[0]], CHARACTER_SLOTS[0])


def test_values_at_latent_frames_are_exact() -> None:
    scene = Scene.empty(6)
    actor = scene.characters[0]
    actor["x"] = [0.0, 0.3, 0.1, -0.5, 0.2, 0.9]
    timeline = Timeline(scene)
    met = [float(actor_at(timeline, t)["x"][0]) for t in frame_times(6)]
    np.testing.assert_allclose(met, actor["x"], atol=1e-6)


def test_uniform_motion_is_uniform_up_to_both_ends() -> None:
    scene = Scene.empty(6)
    scene.characters[0]["x"] = frame_times(6)
    timeline = Timeline(scene)
    times = np.linspace(0.0, 1.0, 31)
    np.testing.assert_allclose([float(actor_at(timeline, t)["x"][0]) for t in times], times, atol=1e-6)


def test_angles_are_interpolated_in_the_shorter_direction() -> None:
    scene = Scene.empty(12)
    turn = np.deg2rad(110.0) * np.arange(12)
    scene.characters[0]["phase"] = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    timeline = Timeline(scene)
    for time in np.linspace(0.1, 1.9, 23):
        cos, sin = actor_at(timeline, float(time))["phase"][0]
        expected = np.deg2rad(110.0) * (time * 6 - 0.5)
        np.testing.assert_allclose([cos, sin], [np.cos(expected), np.sin(expected)], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=8))
def test_amounts_do_not_overshoot_their_neighbours(amounts: list[float]) -> None:
    scene = Scene.empty(len(amounts))
    scene.characters[0]["mouth_open"] = amounts
    timeline = Timeline(scene)
    for time in np.linspace(0.0, len(amounts) / 6, 40):
        i = int(np.clip(time * 6 - 0.5, 0, len(amounts) - 2))
        low, high = sorted((amounts[i], amounts[i + 1]))
        assert low - 1e-6 <= float(actor_at(timeline, float(time))["mouth_open"][0]) <= high + 1e-6


def test_noise_does_not_change_shapes_or_move_standing_characters() -> None:
    rng = np.random.default_rng(1)
    scene = Scene.empty(18)
    actor = scene.characters[0]
    actor["presence"] = 1.0 + 0.1 * rng.standard_normal(18)
    actor["shape"][:, SHAPES.index("drop")] = 1.0
    actor["shape"][...] += 0.15 * rng.standard_normal((18, 6))
    actor["accessory"][...] = 0.06 * rng.standard_normal((18, 5))
    actor["body"][...] = 0.02 * rng.standard_normal((18, 3))
    scene.camera["zoom"] = 0.45 + 0.01 * rng.standard_normal(18)
    scene.camera["night"] = 1.0 + 0.05 * rng.standard_normal(18)
    timeline = Timeline(scene)
    for time in np.linspace(0.0, 3.0, 25):
        seen = actor_at(timeline, float(time))
        assert float(seen["presence"][0]) == 1.0
        assert float(seen["shape"][0, SHAPES.index("drop")]) > 0.999
        assert not seen["accessory"].any()
    assert timeline.is_constant("zoom")
    assert timeline.is_constant("night")
    assert timeline.is_constant("body", CHARACTER_SLOTS[0])
    assert timeline.at(1.0)[0, 6] == 1.0


def test_an_event_within_a_shot_is_kept() -> None:
    scene = Scene.empty(12)
    actor = scene.characters[0]
    actor["accessory"][:, 3] = np.linspace(0.0, 1.0, 12)
    actor["body"][:, 1] = np.linspace(-0.1, 0.15, 12)
    timeline = Timeline(scene)
    first, last = actor_at(timeline, 0.05), actor_at(timeline, 1.95)
    assert float(first["accessory"][0, 3]) == 0.0
    assert float(last["accessory"][0, 3]) == 1.0
    assert float(last["body"][0, 1]) - float(first["body"][0, 1]) > 0.2
