"""Recall measured in pixels, on generated scenes and on modified ones."""

import numpy as np
import pytest

from moc_engine.evaluation.measures.scores import Scores
from moc_engine.evaluation.questions.pixels import score
from moc_engine.models.animatic.scene import Scene
from tests.fakes.stories import story, true_takes


def _means(shape: int = 0, colour: float = 0.0) -> dict[str, float]:
    """The mean scores if later takes have other shapes and colours than the first ones."""
    found = Scores()
    for seed in range(6):
        told = story(seed)
        takes = true_takes(told)
        met: set[int] = set()
        for shot, take in zip(told.shots, takes, strict=True):
            for index, actor in enumerate(shot.script.actors):
                track, said = take.characters[index], shot.described.get(actor.cast, ())
                if actor.cast in met and "shape" not in said:
                    track["shape"] = np.roll(track["shape"], shape, axis=1)
                if actor.cast in met and "body" not in said:
                    track["body"] += np.array([colour, 0.0, 0.0], np.float32)
            met |= {actor.cast for actor in shot.script.actors}
        score(told, takes, found)
    return found.means()


def test_generated_pictures_have_perfect_recall() -> None:
    means = _means()
    assert means["shape_in_pixels"] == means["painted_as_read"] == 1.0
    assert means["colour_error_in_pixels"] < 0.005


def test_another_shape_is_detected() -> None:
    means = _means(shape=1)
    assert means["shape_in_pixels"] == 0.0
    assert means["painted_as_read"] == 1.0


def test_another_colour_is_detected() -> None:
    assert _means(colour=-0.15)["colour_error_in_pixels"] > 0.05


def test_an_absent_character_is_not_recalled() -> None:
    told, found = story(0), Scores()
    empty = [Scene.empty(9) for _ in told.shots]
    score(told, empty, found)
    assert found.means() == {"shape_in_pixels": 0.0}


@pytest.mark.parametrize("seed", range(3))
def test_the_takes_are_not_changed(seed: int) -> None:
    told = story(seed)
    takes = true_takes(told)
    score(told, takes, Scores())
    for take, shot in zip(takes, told.shots, strict=True):
        np.testing.assert_array_equal(take.values, shot.scene.values)
