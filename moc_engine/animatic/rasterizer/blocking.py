"""Blocking, as the stage calls it: where everybody and everything stands in the frame, and how large.

Drawing uses it, and so does telling which part of a picture shows whom.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.animatic.rasterizer.framing import Framing
from moc_engine.animatic.rasterizer.pose import CharacterPose, Pair, PropPose
from moc_engine.animatic.rasterizer.sets import DESIGNS
from moc_engine.animatic.rasterizer.view import DEPTH_STEP, FEET, STAGE_UNIT, View
from moc_engine.animatic.scene import (
    BODY_HEIGHT,
    CHARACTER_SLOTS,
    PROP_SLOTS,
    SET_SLOT,
    SETS,
    SLOTS,
    Scene,
    frame_times,
)
from moc_engine.animatic.timeline import Timeline

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]

_PERSPECTIVE: Final = 0.05  # how much larger a character is one depth nearer
_THERE: Final = 0.5  # presence
_WAIST: Final = 0.72  # H above the feet, from which hands are counted
_ARMS: Final = 0.62  # H to either side
_HEAD: Final = 1.38  # H above the feet
_HEADGEAR: Final = 0.3  # H
_PROPS: Final[dict[str, Box]] = {
    "ball": (-0.2, 0.0, 0.2, 0.4),
    "balloon": (-0.28, -0.94, 0.28, 0.33),
    "kite": (-0.34, -1.0, 0.25, 0.37),
    "umbrella": (-0.48, 0.0, 0.9, 1.15),
    "flower": (-0.19, 0.0, 0.19, 0.66),
    "gift": (-0.24, 0.0, 0.24, 0.47),
}
"""Left, bottom, right, top of each about its origin, in its own size: measured from the drawings."""


def height_of(view: View, depth: float) -> float:
    """Pixels of one H."""
    return view.placement(1.0).scale * BODY_HEIGHT * STAGE_UNIT * (1.0 + _PERSPECTIVE * depth)


def foot_of(view: View, thing: CharacterPose | PropPose) -> Pair:
    """The pixel on the ground below it, margin included."""
    at = view.placement(1.0)
    return (
        at.x + at.scale * STAGE_UNIT * view.gather * thing.x,
        at.y + at.scale * (FEET + DEPTH_STEP * thing.depth),
    )


def place_of(view: View, prop: PropPose) -> Pair:
    """A prop's own place, in the air too."""
    x, y = foot_of(view, prop)
    return x, y - prop.lift * height_of(view, prop.depth)


def holder_of(prop: PropPose, actors: list[CharacterPose]) -> int | None:
    """The actor in whose hand a prop is."""
    holder = max(range(len(actors)), key=prop.held.__getitem__)
    return holder if prop.held[holder] > 0.02 and actors[holder].presence > 0.02 else None


def boxes(scene: Scene, size: tuple[int, int]) -> Floats:
    """(F, SLOTS, 4): left, top, right, bottom of what each slot shows at each latent frame, as shares of the
    picture, 0–1; all 0 where it shows nothing. The set fills the picture, the camera is nowhere in it.

    Boxes are those of bodies and props upright: a rolling camera or a fall may leave a part outside.
    """
    timeline = Timeline(scene)
    kind = SETS[int(timeline.mean("kind", SET_SLOT).argmax())]
    framing = Framing(timeline, len(scene), size, DESIGNS[kind].horizon)
    found = np.zeros((len(scene), SLOTS, 4))
    found[:, SET_SLOT] = (0.0, 0.0, 1.0, 1.0)
    for frame, time in enumerate(frame_times(len(scene)).tolist()):
        values, view = timeline.at(time), framing.at(time)
        actors = [CharacterPose.from_slot(values[slot]) for slot in CHARACTER_SLOTS]
        for slot, actor in zip(CHARACTER_SLOTS, actors, strict=True):
            if actor.presence > _THERE:
                found[frame, slot] = _shares(_body(view, actor), view)
        for slot in PROP_SLOTS:
            prop = PropPose.from_slot(values[slot])
            if prop.presence > _THERE:
                found[frame, slot] = _shares(_prop(view, prop, actors), view)
    left, top, right, bottom = np.moveaxis(found, -1, 0)
    found[(right - left < 0.005) | (bottom - top < 0.005)] = 0.0  # outside the picture
    return found


def _body(view: View, actor: CharacterPose) -> Box:
    x, y = foot_of(view, actor)
    one = height_of(view, actor.depth)
    grown = one * 2.0**actor.growth
    above = _HEAD + _HEADGEAR * max(actor.wears("hat"), actor.wears("crown"))
    up = y - actor.lift * one
    return x - _ARMS * grown, up - above * grown * (1.0 - 0.25 * actor.sit), x + _ARMS * grown, up


def _prop(view: View, prop: PropPose, actors: list[CharacterPose]) -> Box:
    x, y = place_of(view, prop)
    one = height_of(view, prop.depth)
    holder = None if prop.name == "kite" else holder_of(prop, actors)
    if holder is not None:
        actor = actors[holder]
        one = height_of(view, actor.depth)
        x, y = foot_of(view, actor)
        forward, up = actor.near_hand
        grown = 2.0**actor.growth
        x += one * grown * forward * actor.yaw[0]
        y -= one * (actor.lift + grown * (_WAIST + up))
    left, low, right, high = (side * one * prop.size for side in _PROPS[prop.name])
    return x + left, y - high, x + right, y - low


def _shares(box: Box, view: View) -> Floats:
    """Pixels, margin included, as shares of the picture."""
    pixels = np.array(box).reshape(2, 2) - view.margin
    return np.asarray((pixels / (view.width, view.height)).clip(0.0, 1.0).reshape(4))
