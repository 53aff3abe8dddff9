"""Draws arms and legs as curves without joints ("rubber hose"), hands and shoes, in the figure's frame."""

from __future__ import annotations

from functools import lru_cache
from math import atan2, cos, degrees, hypot, sin, sqrt
from typing import Final

import skia

from moc_engine.models.animatic.rasterizer.ink import Ink
from moc_engine.models.animatic.rasterizer.pose import Pair
from moc_engine.models.animatic.rasterizer.shading import fill, line
from moc_engine.models.animatic.rasterizer.stance import Arm, Leg

LEG_WIDTH: Final = 0.1
ARM_WIDTH: Final = 0.09
MITT: Final = 0.078
_ARM_LENGTH: Final = 0.40
_LEG_LENGTH: Final = 0.33
_LEAST_BEND: Final = 0.13
_MOST_BULGE: Final = 0.135
_ANKLE: Final = 0.07


def draw_leg(canvas: skia.Canvas, leg: Leg, ink: Ink, facing: float) -> None:
    colour = _between(ink.far, ink.near, leg.near)
    ankle = (
        leg.sole[0] - _ANKLE * sin(leg.tilt) - 0.02 * facing * cos(leg.tilt),
        leg.sole[1] + _ANKLE * cos(leg.tilt),
    )
    bend = leg.knee * max(_bend(leg.hip, ankle, _LEG_LENGTH), _LEAST_BEND)
    canvas.drawPath(hose(leg.hip, ankle, bend), line(colour, LEG_WIDTH))
    canvas.save()
    canvas.translate(*leg.sole)
    canvas.rotate(degrees(leg.tilt))
    upper, sole = _shoe(round(facing * 24) / 24)
    canvas.drawPath(upper, fill(ink.shoe))
    canvas.drawPath(sole, fill(ink.sole))
    canvas.restore()


def draw_arm(canvas: skia.Canvas, arm: Arm, ink: Ink) -> None:
    (sx, sy), (hx, hy) = arm.shoulder, arm.hand
    climb = atan2(hy - sy, arm.side * (hx - sx))
    outward = arm.side * _elbow(climb)
    bend = outward * max(_bend(arm.shoulder, arm.hand, _ARM_LENGTH), _LEAST_BEND)
    canvas.drawPath(
        hose(arm.shoulder, arm.hand, bend), line(_between(ink.far, ink.near, arm.near), ARM_WIDTH)
    )
    canvas.drawCircle(hx, hy, MITT, fill(_between(ink.far_hand, ink.near_hand, arm.near)))


def hose(start: Pair, end: Pair, bend: float) -> skia.Path:
    """A curve whose middle lies to the left of the straight line, by `bend` times its span."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    span = max(hypot(dx, dy), 1e-3)
    reach = max(-_MOST_BULGE, min(_MOST_BULGE, bend * span)) / span
    nx, ny = -dy * reach * 4 / 3, dx * reach * 4 / 3
    path = skia.Path()
    path.moveTo(*start)
    path.cubicTo(
        start[0] + 0.22 * dx + nx,
        start[1] + 0.22 * dy + ny,
        start[0] + 0.82 * dx + nx,
        start[1] + 0.82 * dy + ny,
        *end,
    )
    return path


def _bend(start: Pair, end: Pair, length: float) -> float:
    """The `bend` at which a hose has the given length, limited."""
    span = max(hypot(end[0] - start[0], end[1] - start[1]), 0.06)
    return sqrt(max(0.0, 3.0 * (length * length - span * span) / 16.0)) / span


def _elbow(climb: float) -> float:
    """The direction of an elbow: outward and up, or outward and down for a steeply raised hand."""
    u = max(0.0, min(1.0, (climb - 0.45) / 0.5))
    return 1.0 - 2.0 * u * u * (3.0 - 2.0 * u)


@lru_cache(maxsize=64)
def _shoe(facing: float) -> tuple[skia.Path, skia.Path]:
    """The upper and the sole of a shoe whose toe points along `facing`; the middle of the sole is (0, 0)."""
    left = 0.112 + 0.019 * abs(facing) - 0.019 * facing
    right = 0.112 + 0.019 * abs(facing) + 0.019 * facing
    top, crown = 0.122, -0.03 * facing
    sole = skia.Path()
    sole.addRoundRect(skia.Rect.MakeLTRB(-left - 0.004, 0.0, right + 0.004, 0.03), 0.008, 0.008)
    upper = skia.Path()
    upper.moveTo(-left, 0.022)
    upper.cubicTo(-left, 0.022 + 0.056 + 0.010 * facing, crown - 0.09, top, crown, top)
    upper.cubicTo(crown + 0.09, top, right, 0.022 + 0.056 - 0.010 * facing, right, 0.022)
    upper.close()
    return upper, sole


def _between(far: int, near: int, share: float) -> int:
    if share >= 1.0 or share <= 0.0:
        return near if share >= 1.0 else far
    mixed = 0
    for shift in (24, 16, 8, 0):
        start, end = far >> shift & 255, near >> shift & 255
        mixed |= round(start + share * (end - start)) << shift
    return mixed
