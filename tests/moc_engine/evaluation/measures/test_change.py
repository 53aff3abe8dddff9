"""The measurement of known changes between takes."""

from collections.abc import Callable

import numpy as np
import pytest

from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.measures.change import PARTS, VISIBLE_AREA, Change, Comparison
from moc_engine.models.animatic.scene import Scene


@pytest.fixture(scope="module")
def take() -> Scene:
    """A held-out shot with a character that wears an accessory."""
    for number in range(20):
        for shot in EvaluationSettings(shots=2).story(number).shots:
            actors = shot.script.actors
            if len(actors) == 1 and actors[0].look.accessory is not None and actors[0].event is None:
                return shot.scene
    raise AssertionError


def _change(take: Scene, edit: Callable[[Scene], None]) -> Change:
    other = Scene(take.values.copy())
    edit(other)
    return Comparison(take).with_take(other)


def _visible(change: Change) -> set[str]:
    return {name for name, least in PARTS.items() if change.parts[name] >= least}


def _bare(scene: Scene) -> None:
    scene.characters[0]["accessory"] = 0.0


def _moved(scene: Scene) -> None:
    scene.characters[0]["x"] += 0.15


def _gone(scene: Scene) -> None:
    scene.characters[0]["presence"] = 0.0


def _recoloured(scene: Scene) -> None:
    scene.characters[0]["body"] = (0.2, 0.0, 0.0) - scene.characters[0]["body"]


def _relaid(scene: Scene) -> None:
    scene.set["layout"] = -scene.set["layout"]


def _retinted(scene: Scene) -> None:
    scene.set["tint"] += 0.03


def _reshaped(scene: Scene) -> None:
    scene.characters[0]["shape"] = np.roll(scene.characters[0]["shape"], 1, axis=1)


def test_a_take_does_not_differ_from_itself(take: Scene) -> None:
    change = _change(take, lambda scene: None)
    assert (change.scene, change.pixels, change.area) == (0.0, 0.0, 0.0)
    assert set(change.parts) == set(PARTS)
    assert not change.visible


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (_bare, "accessory"),
        (_moved, "position"),
        (_gone, "cast"),
        (_recoloured, "colour"),
        (_relaid, "layout"),
        (_retinted, "tint"),
        (_reshaped, "shape"),
    ],
)
def test_each_changed_part_is_named(take: Scene, edit: Callable[[Scene], None], part: str) -> None:
    change = _change(take, edit)
    assert _visible(change) == {part}
    assert change.seen_in_scene
    assert change.scene > 0.0
    assert change.pixels > 0.0


def test_small_changes_are_not_visible(take: Scene) -> None:
    def nudged(scene: Scene) -> None:
        scene.characters[0]["x"] += 0.004
        scene.camera["sunset"] += 0.001

    change = _change(take, nudged)
    assert change.pixels > 0.0
    assert not change.visible


def test_a_colour_change_of_the_whole_picture_shows_in_pixels(take: Scene) -> None:
    def night(scene: Scene) -> None:
        scene.camera["night"] = 1.0 - scene.camera["night"]

    change = _change(take, night)
    assert not change.seen_in_scene
    assert change.area > VISIBLE_AREA
    assert change.visible


def test_a_character_in_another_slot_is_the_same(take: Scene) -> None:
    def swapped(scene: Scene) -> None:
        scene.values[:, [2, 3]] = scene.values[:, [3, 2]]

    assert _change(take, swapped).scene == pytest.approx(0.0, abs=1e-3)
