"""VBench's formulas against values worked out by hand, with models that are functions of a few numbers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from moc_engine.clip import Frame
from moc_engine.evaluation.vbench.definitions import (
    aesthetic_quality,
    consistency,
    fastest,
    imaging_quality,
    imaging_size,
    is_dynamic,
    motion_smoothness,
    sampled,
    similarities,
    temporal_flickering,
    threshold,
)


def grey(*values: int) -> list[Frame]:
    return [np.full((4, 6, 3), value, np.uint8) for value in values]


def mean_of(one: Frame, other: Frame) -> Frame:
    return ((one.astype(int) + other) // 2).astype(np.uint8)


def test_consistency_is_the_mean_similarity_to_the_frame_before_and_to_the_first() -> None:
    features = np.array([[2.0, 0.0], [3.0, 4.0], [0.0, 5.0]])  # cosines .6 and .8, to the first .6 and 0
    assert similarities(features) == pytest.approx([0.6, 0.4])
    assert consistency(features) == pytest.approx(0.5)


def test_opposite_features_count_as_unlike_and_no_less() -> None:
    assert consistency(np.array([[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])) == pytest.approx((0.0 + 0.5) / 2)


def test_a_frame_without_features_is_like_nothing() -> None:
    assert consistency(np.array([[1.0, 0.0], [0.0, 0.0]])) == 0.0


def test_flickering_is_the_difference_of_neighbours() -> None:
    assert temporal_flickering(grey(10, 20, 50)) == pytest.approx((255 - 20) / 255)
    assert temporal_flickering(iter(grey(0, 255, 0))) == 0.0
    assert temporal_flickering(grey(9, 9)) == 1.0


def test_smoothness_interpolates_every_second_frame() -> None:
    assert motion_smoothness(grey(0, 10, 20, 30, 40), mean_of) == 1.0
    assert motion_smoothness(grey(0, 40, 20, 0, 40), mean_of) == pytest.approx((255 - 30) / 255)
    assert motion_smoothness(grey(0, 40, 20, 200), mean_of) == pytest.approx(
        (255 - 30) / 255
    )  # the last is left


@pytest.mark.parametrize("score", [lambda f: motion_smoothness(f, mean_of), temporal_flickering])
def test_single_frames_have_no_score(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="frames"):
        score(grey(1))
    with pytest.raises(ValueError, match="features"):
        similarities(np.ones((1, 3)))


def test_dynamic_degree_looks_at_eight_frames_a_second() -> None:
    frames = grey(*range(24))
    assert [int(frame[0, 0, 0]) for frame in sampled(frames, 24.0)] == list(range(0, 24, 3))
    assert len(sampled(frames, 4.0)) == 24


def test_the_fastest_twentieth_of_the_pixels_decides() -> None:
    flow: NDArray[np.float32] = np.zeros((10, 10, 2), np.float32)
    flow[0, :5] = (3.0, 4.0)
    flow[0, 0] = (6.0, 8.0)
    assert fastest(flow) == pytest.approx((4 * 5.0 + 10.0) / 5)


def test_a_longer_frame_needs_longer_motion() -> None:
    assert threshold(np.zeros((256, 512, 3), np.uint8)) == 6.0
    assert threshold(np.zeros((720, 360, 3), np.uint8)) == pytest.approx(6.0 * 360 / 256)


@pytest.mark.parametrize(
    ("moving", "pairs", "dynamic"),
    [(4, 15, True), (3, 15, False), (2, 7, True), (1, 7, False), (0, 1, True), (0, 0, False)],
)
def test_a_quarter_of_the_frames_must_move(moving: int, pairs: int, dynamic: bool) -> None:
    lengths = [7.0] * moving + [6.0] * (pairs - moving)  # 6 is not above 6
    assert is_dynamic(lengths, 6.0) is dynamic


def test_ratings_are_scaled_to_one() -> None:
    features = np.array([[3.0, 4.0], [0.0, 2.0]])
    assert aesthetic_quality(features, np.array([5.0, 2.0]), 1.0) == pytest.approx((5.6 + 3.0) / 2 / 10)
    assert imaging_quality([50.0, 70.0]) == pytest.approx(0.6)


def test_frames_are_rated_at_512_pixels() -> None:
    assert imaging_size(1280, 720) == (512, 288)
    assert imaging_size(720, 1280) == (288, 512)
    assert imaging_size(320, 180) == (320, 180)
