from collections.abc import Callable

import numpy as np
import pytest

from moc_engine.evaluation.questions.motion import score
from moc_engine.models.animatic.scene import Scene
from tests.fakes.stories import means


def _means(spoil: Callable[[Scene], None] = lambda take: None) -> dict[str, float]:
    return means(score, spoil, stories=12)


def test_generated_scenes_have_unit_roughness_and_do_not_slide() -> None:
    found = _means()
    assert found["roughness"] == found["liveliness"] == pytest.approx(1.0)
    assert found["slip"] == pytest.approx(0.0, abs=1e-4)


def _jitter(take: Scene) -> None:
    noise = np.random.default_rng(0).normal(size=take.values.shape) * 0.02
    take.values += noise.astype(np.float32)


def _hold(take: Scene) -> None:
    take.values[:] = take.values[:1]


def _half_way(take: Scene) -> None:
    for track in take.characters:
        track["x"] = 0.5 * track["x"]


def test_jitter_is_rough_and_a_still_has_no_liveliness() -> None:
    assert _means(_jitter)["roughness"] > 1.2
    assert _means(_hold)["liveliness"] == 0.0
    assert _means(_hold)["roughness"] == pytest.approx(1.0)


def _stiff_and_rough(take: Scene) -> None:
    """Adds jitter to characters that move little and reduces the motion of those that move much."""
    for track in take.characters:
        hand = track["near_hand"]
        if np.abs(np.diff(hand, n=2, axis=0)).sum() > 1.0:
            hand[...] = 0.5 * (hand + hand.mean(axis=0))
        else:
            hand[...] += np.random.default_rng(0).normal(size=hand.shape).astype(np.float32) * 0.05


def test_jitter_is_not_offset_by_stillness() -> None:
    found = _means(_stiff_and_rough)
    assert found["roughness"] > 1.03
    assert found["liveliness"] < 0.95


def test_feet_that_travel_twice_the_gait_distance_slide() -> None:
    assert _means(_half_way)["slip"] == pytest.approx(0.5, abs=1e-3)
