"""Blocking, as the stage calls it: where everybody and everything stands in the frame, and how large.

Drawing uses it, and so does telling which part of a picture shows whom.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.accessories import headroom
from moc_engine.models.animatic.rasterizer.body import body_of
from moc_engine.models.animatic.rasterizer.figure import grip
from moc_engine.models.animatic.rasterizer.framing import Framing
from moc_engine.models.animatic.rasterizer.palette import Climate
from moc_engine.models.animatic.rasterizer.pose import CharacterPose, Pair, PropPose
from moc_engine.models.animatic.rasterizer.props import draw_prop
from moc_engine.models.animatic.rasterizer.sets import DESIGNS
from moc_engine.models.animatic.rasterizer.stance import stance_of
from moc_engine.models.animatic.rasterizer.view import DEPTH_STEP, FEET, STAGE_UNIT, View
from moc_engine.models.animatic.scene import (
    BODY_HEIGHT,
    CHARACTER_SLOTS,
    PROP_SLOTS,
    SET_SLOT,
    SETS,
    SLOTS,
    Scene,
    frame_times,
)
from moc_engine.models.animatic.timeline import Timeline

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]

_PERSPECTIVE: Final = 0.05  # how much larger a character is one depth nearer
_THERE: Final = 0.5  # presence
_HAND: Final = 0.08  # H around the middle of a hand
_SHOE: Final = 0.16  # H around the middle of a sole
_FINE: Final = 32  # pixels of one H where a prop is measured
_SIDE: Final = 160  # pixels of the canvas it is drawn on
_SEEN: Final = 48  # the least alpha, of 255, that counts


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
    """
    timeline = Timeline(scene)
    kind = SETS[int(timeline.mean("kind", SET_SLOT).argmax())]
    framing = Framing(timeline, len(scene), size, DESIGNS[kind].horizon)
    found = np.zeros((len(scene), SLOTS, 4))
    found[:, SET_SLOT] = (0.0, 0.0, 1.0, 1.0)
    for frame, time in enumerate(frame_times(len(scene)).tolist()):
        values, view, roll = timeline.at(time), framing.at(time), framing.roll(time)
        actors = [CharacterPose.from_slot(values[slot]) for slot in CHARACTER_SLOTS]
        for slot, actor in zip(CHARACTER_SLOTS, actors, strict=True):
            if actor.presence > _THERE:
                found[frame, slot] = _shares(_body(view, actor), view, roll)
        for slot in PROP_SLOTS:
            prop = PropPose.from_slot(values[slot])
            if prop.presence > _THERE:
                found[frame, slot] = _shares(_prop(view, prop, actors), view, roll)
    left, top, right, bottom = np.moveaxis(found, -1, 0)
    found[(right - left < 0.005) | (bottom - top < 0.005)] = 0.0  # outside the picture
    return found


def _body(view: View, actor: CharacterPose) -> Box:
    """Its outline, what it wears on its head, its hands and its feet."""
    stance, body = stance_of(actor), body_of(actor.weights)
    points = [stance.place(px, py) for px, py in (*body.points, (0.0, headroom(actor, body)))]
    for (px, py), around in (
        *((arm.hand, _HAND) for arm in stance.arms),
        *((leg.sole, _SHOE) for leg in stance.legs),
    ):
        points += [(px - around, py), (px + around, py + around)]
    (left, low), (right, high) = np.min(points, axis=0), np.max(points, axis=0)
    size = height_of(view, actor.depth) * stance.scale
    x, y = foot_of(view, actor)
    return x + size * left, y - size * high, x + size * right, y - size * low


def _prop(view: View, prop: PropPose, actors: list[CharacterPose]) -> Box:
    """Measured from its drawing, for a hand decides much of it. A kite's string is no part of it."""
    x, y = place_of(view, prop)
    one = height_of(view, prop.depth)
    holder = None if prop.name == "kite" else holder_of(prop, actors)
    hold = None
    middle = x, y
    if holder is not None:
        actor = actors[holder]
        one = height_of(view, actor.depth)
        hold = grip(actor, height_px=one, origin=foot_of(view, actor))
        held = max(prop.held)
        middle = x + held * (hold.x - x), y + held * (hold.y - y)
    scale = _FINE / (one * max(1.0, prop.size))
    surface = skia.Surface(_SIDE, _SIDE)
    canvas = surface.getCanvas()
    canvas.translate(_SIDE / 2, _SIDE / 2)
    canvas.scale(scale, scale)
    canvas.translate(-middle[0], -middle[1])
    draw_prop(canvas, prop, Climate(), height_px=one, origin=(x, y), grip=hold)
    rows, columns = np.nonzero(surface.toarray()[..., 3] > _SEEN)
    if not len(rows):
        return *middle, *middle
    sides = np.array((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    left, top, right, bottom = ((sides - _SIDE / 2) / scale + (*middle, *middle)).tolist()
    return left, top, right, bottom


def _shares(box: Box, view: View, roll: float) -> Floats:
    """Pixels, margin included, as shares of the picture, whose camera turns it about its middle."""
    corners = np.array(box).reshape(2, 2) - view.margin
    middle = np.array((view.width - 1, view.height - 1)) / 2
    x, y = corners.mean(axis=0) - middle
    turned = np.array((np.cos(roll) * x + np.sin(roll) * y, np.cos(roll) * y - np.sin(roll) * x))
    pixels = corners - corners.mean(axis=0) + turned + middle
    return np.asarray((pixels / (view.width, view.height)).clip(0.0, 1.0).reshape(4))
