"""Positions, sizes and bounding boxes of characters and props in the frame.

Used for drawing and for the boxes of scene slots.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.accessories import top_height
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

_PERSPECTIVE: Final = 0.05  # relative size increase per unit of depth
_PRESENT: Final = 0.5  # presence above which a slot counts as shown
_HAND_RADIUS: Final = 0.08  # radius of a hand, in H
_SHOE_RADIUS: Final = 0.16  # radius of a shoe around the middle of its sole, in H
_MEASURING_SCALE: Final = 32  # pixels per H when a prop is drawn for measuring
_MEASURING_SIDE: Final = 160  # side of the canvas for measuring, in pixels
_LEAST_ALPHA: Final = 48  # smallest alpha (0–255) of a pixel that counts


def body_height_px(view: View, depth: float) -> float:
    """The body height H at a depth, in pixels."""
    return view.placement(1.0).scale * BODY_HEIGHT * STAGE_UNIT * (1.0 + _PERSPECTIVE * depth)


def ground_position(view: View, thing: CharacterPose | PropPose) -> Pair:
    """The pixel on the ground below a character or prop, margin included."""
    at = view.placement(1.0)
    return (
        at.x + at.scale * STAGE_UNIT * view.gather * thing.x,
        at.y + at.scale * (FEET + DEPTH_STEP * thing.depth),
    )


def prop_position(view: View, prop: PropPose) -> Pair:
    """The pixel position of a prop that is not held, with its lift."""
    x, y = ground_position(view, prop)
    return x, y - prop.lift * body_height_px(view, prop.depth)


def holder_of(prop: PropPose, actors: list[CharacterPose]) -> int | None:
    """The index of the actor who holds a prop, or None."""
    holder = max(range(len(actors)), key=prop.held.__getitem__)
    return holder if prop.held[holder] > 0.02 and actors[holder].presence > 0.02 else None


def boxes(scene: Scene, size: tuple[int, int]) -> Floats:
    """Bounding boxes (F, SLOTS, 4) of the slots per latent frame: left, top, right, bottom, as shares 0–1 of
    the picture.

    A slot that shows nothing, and the camera, have all 0; the set has the whole picture.
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
            if actor.presence > _PRESENT:
                found[frame, slot] = _box_shares(_actor_box(view, actor), view, roll)
        for slot in PROP_SLOTS:
            prop = PropPose.from_slot(values[slot])
            if prop.presence > _PRESENT:
                found[frame, slot] = _box_shares(_prop_box(view, prop, actors), view, roll)
    left, top, right, bottom = np.moveaxis(found, -1, 0)
    found[(right - left < 0.005) | (bottom - top < 0.005)] = 0.0  # outside the picture
    return found


def _actor_box(view: View, actor: CharacterPose) -> Box:
    """The box around an actor's outline, headwear, hands and feet."""
    stance, body = stance_of(actor), body_of(actor.weights)
    points = [stance.place(px, py) for px, py in (*body.points, (0.0, top_height(actor, body)))]
    for (px, py), around in (
        *((arm.hand, _HAND_RADIUS) for arm in stance.arms),
        *((leg.sole, _SHOE_RADIUS) for leg in stance.legs),
    ):
        points += [(px - around, py), (px + around, py + around)]
    (left, low), (right, high) = np.min(points, axis=0), np.max(points, axis=0)
    size = body_height_px(view, actor.depth) * stance.scale
    x, y = ground_position(view, actor)
    return x + size * left, y - size * high, x + size * right, y - size * low


def _prop_box(view: View, prop: PropPose, actors: list[CharacterPose]) -> Box:
    """The box of a prop without a kite's string; measured on a drawing, as it depends on the hand."""
    x, y = prop_position(view, prop)
    one = body_height_px(view, prop.depth)
    holder = None if prop.name == "kite" else holder_of(prop, actors)
    hold = None
    middle = x, y
    if holder is not None:
        actor = actors[holder]
        one = body_height_px(view, actor.depth)
        hold = grip(actor, height_px=one, origin=ground_position(view, actor))
        held = max(prop.held)
        middle = x + held * (hold.x - x), y + held * (hold.y - y)
    scale = _MEASURING_SCALE / (one * max(1.0, prop.size))
    surface = skia.Surface(_MEASURING_SIDE, _MEASURING_SIDE)
    canvas = surface.getCanvas()
    canvas.translate(_MEASURING_SIDE / 2, _MEASURING_SIDE / 2)
    canvas.scale(scale, scale)
    canvas.translate(-middle[0], -middle[1])
    draw_prop(canvas, prop, Climate(), height_px=one, origin=(x, y), grip=hold)
    rows, columns = np.nonzero(surface.toarray()[..., 3] > _LEAST_ALPHA)
    if not len(rows):
        return *middle, *middle
    sides = np.array((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    left, top, right, bottom = ((sides - _MEASURING_SIDE / 2) / scale + (*middle, *middle)).tolist()
    return left, top, right, bottom


def _box_shares(box: Box, view: View, roll: float) -> Floats:
    """A box in pixels, margin included, as shares of the picture after the camera's roll about its middle."""
    corners = np.array(box).reshape(2, 2) - view.margin
    middle = np.array((view.width - 1, view.height - 1)) / 2
    x, y = corners.mean(axis=0) - middle
    turned = np.array((np.cos(roll) * x + np.sin(roll) * y, np.cos(roll) * y - np.sin(roll) * x))
    pixels = corners - corners.mean(axis=0) + turned + middle
    return np.asarray((pixels / (view.width, view.height)).clip(0.0, 1.0).reshape(4))
