"""Boxes contain the drawing of their slot: pixels that depend on a body's or prop's colours lie in its box.

Colours do not affect the camera, so the two pictures differ only in that body or prop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.blocking import boxes
from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.rasterizer.stage import Stage
from moc_engine.models.animatic.scene import (
    ACCESSORIES,
    CHARACTER_SLOTS,
    PROP_SLOTS,
    PROPS,
    SET_SLOT,
    SETS,
    SHAPES,
    SLOTS,
    Scene,
    frame_times,
)
from moc_engine.models.animatic.world import sample_story

WITHIN = 0.9
"""The share of drawn pixels that the box must contain; tips of hands, tails and strings may be outside."""

SIZE = (192, 108)
PLATES = PlateCache()


def scene(zoom: float = 0.0, *, frames: int = 6) -> Scene:
    """A round character in the meadow, slightly left of the middle."""
    made = Scene.empty(frames)
    made.set["kind"][:, SETS.index("meadow")] = 1.0
    made.camera["zoom"] = zoom
    person(made, x=-0.2)
    return made


def person(made: Scene, nth: int = 0, *, x: float, shape: str = "round") -> None:
    actor = made.characters[nth]
    actor["presence"] = 1.0
    actor["shape"][:, SHAPES.index(shape)] = 1.0
    actor["x"] = x
    actor["yaw"][:, 0] = actor["roll"][:, 0] = actor["phase"][:, 0] = actor["eye"] = actor["pupil"] = 1.0
    actor["near_hand"], actor["far_hand"] = (0.55, -0.22), (-0.55, -0.22)
    actor["mouth_width"] = 0.2


def thing(made: Scene, kind: str, **fields: object) -> None:
    prop = made.props[0]
    prop["presence"] = prop["size"] = 1.0
    prop["kind"][:, PROPS.index(kind)] = 1.0
    prop["roll"][:, 0] = 1.0
    for name, value in fields.items():
        prop[name] = value


def drawn(made: Scene, slot: int, frame: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of a latent frame's picture that show a slot."""
    time = float(frame_times(len(made))[frame])
    pictures = []
    for lightness, tint in ((-0.35, 0.15), (0.25, -0.15)):
        other = Scene(made.values.copy())
        track = other.track(slot)
        for name in ("body", "accent") if slot in CHARACTER_SLOTS else ("colour",):
            track[name] = (lightness, tint, tint)
        pictures.append(Stage(other, size, PLATES).picture(time).astype(int))
    return np.asarray(np.abs(pictures[0] - pictures[1]).max(axis=-1) > 24)


def held(made: Scene, slot: int, frame: int, size: tuple[int, int]) -> tuple[float, float, int]:
    """The share of drawn pixels inside the box, the share of the box that they span, and their number."""
    where = drawn(made, slot, frame, size)
    left, top, right, bottom = boxes(made, size)[frame, slot] * (size[0], size[1], size[0], size[1])
    rows, columns = np.nonzero(where)
    if not len(rows):
        return 1.0, 1.0, 0
    inside = (left <= columns + 1) & (columns <= right) & (top <= rows + 1) & (rows <= bottom)
    if not inside.any():
        return 0.0, 0.0, len(rows)
    spanned = np.ptp(rows[inside]) * np.ptp(columns[inside]) / ((right - left) * (bottom - top))
    return float(inside.mean()), float(spanned), len(rows)


def hat(made: Scene) -> None:
    made.characters[0]["accessory"][:, ACCESSORIES.index("hat")] = 1.0


def grown(made: Scene) -> None:
    made.characters[0]["growth"] = 0.5


def jump(made: Scene) -> None:
    made.characters[0]["lift"] = np.sin(np.linspace(0, np.pi, len(made))) * 1.4


def sitting(made: Scene) -> None:
    made.characters[0]["sit"] = 1.0


def near_the_front(made: Scene) -> None:
    made.characters[0]["depth"] = 1.0


def crowd(made: Scene) -> None:
    person(made, 1, x=0.3, shape="star")
    person(made, 2, x=0.05, shape="bean")


@pytest.mark.parametrize("size", [(192, 108), (108, 192), (120, 120)])
@pytest.mark.parametrize("zoom", [-0.4, 0.0, 0.81, 1.49])
def test_a_body_lies_in_its_box_at_any_size_and_zoom(size: tuple[int, int], zoom: float) -> None:
    within, spanned, pixels = held(scene(zoom), CHARACTER_SLOTS[0], 2, size)
    assert pixels > 30
    assert within >= WITHIN
    assert spanned >= 0.3


@pytest.mark.parametrize("change", [hat, grown, jump, sitting, near_the_front, crowd])
def test_a_body_lies_in_its_box_for_any_action(change: Callable[[Scene], None]) -> None:
    made = scene()
    change(made)
    for slot in CHARACTER_SLOTS if change is crowd else CHARACTER_SLOTS[:1]:
        within, spanned, pixels = held(made, slot, 3, SIZE)
        assert pixels > 30
        assert within >= WITHIN
        assert spanned >= 0.2


@pytest.mark.parametrize("kind", PROPS)
def test_a_prop_lies_in_its_box(kind: str) -> None:
    made = scene(0.5)
    thing(made, kind, x=0.3, lift=0.5)
    within, spanned, pixels = held(made, PROP_SLOTS[0], 2, SIZE)
    assert pixels > 10
    assert within >= WITHIN
    assert spanned >= 0.15


@pytest.mark.parametrize("facing", [1.0, -1.0])
@pytest.mark.parametrize("kind", [kind for kind in PROPS if kind != "kite"])
def test_a_held_prop_lies_in_its_box(kind: str, facing: float) -> None:
    made = scene(0.5)
    made.characters[0]["yaw"] = (facing, 0.0)
    thing(made, kind, x=0.9, held=(1.0, 0.0, 0.0))
    within, spanned, pixels = held(made, PROP_SLOTS[0], 2, SIZE)
    assert pixels > 10
    assert within >= WITHIN
    assert spanned >= 0.1


def test_a_kite_on_its_string_has_its_box_in_the_sky() -> None:
    made = scene()
    thing(made, "kite", x=0.4, lift=1.6, held=(1.0, 0.0, 0.0))
    within, _, pixels = held(made, PROP_SLOTS[0], 2, SIZE)
    assert pixels > 10
    assert within >= WITHIN
    kite, body = boxes(made, SIZE)[2, [PROP_SLOTS[0], CHARACTER_SLOTS[0]]]
    assert kite[1] < body[1] - 0.1  # above the head
    assert kite[0] > body[2]  # and at its x, not at the hand


def test_empty_slots_have_no_box_and_the_set_has_the_whole_picture() -> None:
    made = scene(0.8)
    made.characters[0]["presence"] = (1, 1, 1, 0, 0, 0)
    thing(made, "gift", x=1.9)  # far outside
    found = boxes(made, SIZE)
    assert found.shape == (6, SLOTS, 4)
    assert (found[:, SET_SLOT] == (0, 0, 1, 1)).all()
    assert found[0, CHARACTER_SLOTS[0]].any()
    assert not found[5, CHARACTER_SLOTS[0]].any()
    assert not found[:, [0, CHARACTER_SLOTS[2], *PROP_SLOTS]].any()
    assert ((found >= 0) & (found <= 1)).all()


def shown() -> Iterator[tuple[Scene, int, int]]:
    """Generated scenes, each with a slot and a frame in which the slot is present."""
    for seed in range(3):
        for shot in sample_story(np.random.default_rng(seed), shots=5, cast=3, tokens=3).shots:
            found = boxes(shot.scene, SIZE)
            frame = 5
            for slot in (*CHARACTER_SLOTS, *PROP_SLOTS):
                if found[frame, slot].any():
                    yield shot.scene, slot, frame


def test_generated_scenes_lie_in_their_boxes() -> None:
    found = [held(*what, SIZE) for what in shown()]
    seen = [(within, spanned) for within, spanned, pixels in found if pixels > 15]
    assert len(seen) >= 20
    within, spanned = np.array(seen).T
    assert (within >= WITHIN).mean() >= 0.95
    assert within.mean() >= 0.97
    assert np.median(spanned) >= 0.3
