"""Draws the props: ball, balloon, kite, umbrella, flower and gift, on the ground or held.

A prop's frame is in H, y up, with its anchor at (0, 0): its lowest point, or the middle of a balloon or
kite. With its `held` amount the anchor moves to the hand that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import atan2, cos, degrees, hypot, pi, sin
from typing import Final

import skia

from moc_engine.models.animatic.rasterizer.accessories import overshoot_scale
from moc_engine.models.animatic.rasterizer.ink import deeper, lch, rgb_of
from moc_engine.models.animatic.rasterizer.palette import Climate, Lab, argb, from_lch, grade_character, mix
from moc_engine.models.animatic.rasterizer.pose import Grip, Pair, PropPose
from moc_engine.models.animatic.rasterizer.shading import fill, line, paint_paper

CONTOUR: Final = 0.018
BEHIND_HOLDER: Final = frozenset({"balloon", "kite", "umbrella"})
"""Held props that are drawn behind their holder."""

_SHADOW_WIDTH: Final = {
    "ball": 0.2,
    "balloon": 0.2,
    "kite": 0.2,
    "umbrella": 0.62,
    "flower": 0.14,
    "gift": 0.27,
}


@dataclass(frozen=True, kw_only=True)
class _Ink:
    """The colours of a prop's parts, as 0xFFRRGGBB."""

    light: int
    colour: int
    low: int
    grain: int
    shade: int
    contour: int
    pale: int
    pale_shade: int
    string: int
    wood: int
    leaf: int
    leaf_shade: int
    gold: int
    gold_shade: int


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """The inputs for drawing a prop besides its pose."""

    canvas: skia.Canvas
    ink: _Ink
    fineness: float
    held: float
    hand: Pair  # relative to the anchor, in the prop's frame without its roll
    clearance: float
    inward: float
    facing: float
    time: float


def draw_prop(
    canvas: skia.Canvas,
    prop: PropPose,
    climate: Climate,
    *,
    height_px: float,
    origin: Pair,
    grip: Grip | None = None,
) -> None:
    """Draws a prop at pixel `origin`, moved to the hand of `grip` by its `held` amount.

    `height_px` is one H. A kite stays at `origin`; its string ends at the hand.
    """
    if prop.presence <= 0.02:
        return
    held = max(prop.held) if grip is not None else 0.0
    size = height_px * max(0.05, prop.size) * overshoot_scale(prop.presence)
    if size < 1.0:
        return
    name = prop.name
    x, y = origin
    hand = (0.0, 0.0)
    if grip is not None and name == "kite":
        hand = ((grip.x - x) / size, (y - grip.y) / size)
    elif grip is not None:
        x += held * (grip.x - x)
        y += held * (grip.y - y)
    setting = _Setting(
        canvas=canvas,
        ink=_ink_for(_rounded(prop.colour), climate),
        fineness=size,
        held=held,
        hand=hand,
        clearance=grip.clearance * grip.height / size if grip else 0.0,
        inward=grip.inward * grip.height / size if grip else 0.0,
        facing=grip.facing if grip else 1.0,
        time=prop.time,
    )
    canvas.save()
    canvas.translate(x, y)
    canvas.scale(size, -size)
    _DRAWINGS[name](setting, atan2(prop.roll[1], prop.roll[0]))
    canvas.restore()


def draw_prop_shadow(
    canvas: skia.Canvas, prop: PropPose, *, height_px: float, origin: Pair, colour: Lab, alpha: float
) -> None:
    """Draws a prop's shadow, an ellipse at pixel `origin`, which fades with the prop's lift and `held`."""
    lift = max(0.0, prop.lift)
    strength = alpha * prop.presence * (1.0 - max(prop.held)) / (1.0 + 0.9 * lift) ** 2
    if strength <= 0.01:
        return
    wide = _SHADOW_WIDTH[prop.name] * height_px * prop.size / (1.0 + 0.4 * lift)
    oval = skia.Rect.MakeLTRB(
        origin[0] - wide, origin[1] - 0.17 * wide, origin[0] + wide, origin[1] + 0.19 * wide
    )
    canvas.drawOval(oval, skia.Paint(Color=argb(colour, strength), AntiAlias=True))


def _rounded(lab: Lab) -> Lab:
    return (round(lab[0], 2), round(lab[1], 3), round(lab[2], 3))


@lru_cache(maxsize=128)
def _ink_for(colour: Lab, climate: Climate) -> _Ink:
    own = grade_character(colour, climate)
    lightness, chroma, hue = lch(own)
    cream = grade_character(from_lch((0.955, 0.028, 85.0)), climate)
    leaf = grade_character(from_lch((0.60, 0.12, 146.0)), climate)
    gold = grade_character(from_lch((0.85, 0.145, 88.0)), climate)
    return _Ink(
        **rgb_of(
            {
                "light": from_lch((min(0.97, lightness + 0.085), 0.85 * chroma, hue)),
                "colour": own,
                "low": deeper(own, 0.93),
                "grain": deeper(own, 0.86),
                "shade": deeper(own, 0.80),
                "contour": deeper(own, 0.70),
                "pale": mix(cream, own, 0.04),
                "pale_shade": mix(deeper(cream, 0.86), own, 0.1),
                "string": mix(
                    from_lch((0.52, 0.04, 60.0)), cream, min(1.0, climate.night + 0.7 * climate.sunset)
                ),
                "wood": grade_character(from_lch((0.42, 0.055, 45.0)), climate),
                "leaf": leaf,
                "leaf_shade": deeper(leaf, 0.78),
                "gold": gold,
                "gold_shade": deeper(gold, 0.82),
            }
        )
    )


def _paper(s: _Setting, path: skia.Path) -> None:
    ink = s.ink
    paint_paper(s.canvas, path, (ink.light, ink.colour, ink.low), ink.grain, s.fineness)


def _draw_ball(s: _Setting, roll: float) -> None:
    radius = 0.19
    s.canvas.translate(0.11 * s.facing * s.held, radius * (1.0 - s.held) + 0.05 * s.held)
    disc = _oval_path(0.0, 0.0, radius, radius)
    s.canvas.drawPath(disc, fill(s.ink.pale))
    s.canvas.save()
    s.canvas.clipPath(disc, doAntiAlias=True)
    s.canvas.rotate(-degrees(roll))
    for i in range(3):
        start = 2 * pi * i / 3 + 0.5
        panel = skia.Path()
        panel.moveTo(-0.03, 0.035)
        bent = start + 0.25
        panel.quadTo(0.13 * cos(bent), 0.13 * sin(bent) + 0.02, 0.24 * cos(start), 0.24 * sin(start))
        end = start + pi / 3
        panel.lineTo(0.3 * cos((start + end) / 2), 0.3 * sin((start + end) / 2))
        panel.lineTo(0.24 * cos(end), 0.24 * sin(end))
        panel.quadTo(0.13 * cos(end + 0.25), 0.13 * sin(end + 0.25) + 0.02, -0.03, 0.035)
        panel.close()
        _paper(s, panel)
    s.canvas.drawCircle(-0.03, 0.035, 0.035, fill(s.ink.pale))
    s.canvas.restore()
    _shade_round(s, disc, radius)
    s.canvas.drawPath(disc, line(s.ink.contour, CONTOUR))


def _shade_round(s: _Setting, disc: skia.Path, radius: float) -> None:
    moved = _oval_path(-0.26 * radius, 0.16 * radius, radius, radius)
    crescent = skia.Op(disc, moved, skia.PathOp.kDifference_PathOp)
    s.canvas.drawPath(crescent, _multiply())


def _multiply() -> skia.Paint:
    return skia.Paint(Color=skia.Color(196, 180, 208), AntiAlias=True, BlendMode=skia.BlendMode.kMultiply)


def _draw_balloon(s: _Setting, roll: float) -> None:
    sway = 0.05 * sin(2 * pi * 0.31 * s.time)
    ahead = 0.13 * s.facing
    middle = (s.held * (ahead + sway), s.held * 1.12)
    tip = roll + 0.7 * sway
    foot = (middle[0] - 0.335 * sin(tip), middle[1] - 0.335 * cos(tip))
    end = (foot[0] * (1.0 - s.held) + 0.04 * sway, (foot[1] - 0.6) * (1.0 - s.held))
    string = skia.Path()
    string.moveTo(*foot)
    wave = 0.07 - 0.03 * s.held
    string.cubicTo(
        foot[0] + wave,
        foot[1] + 0.3 * (end[1] - foot[1]),
        end[0] - wave,
        foot[1] + 0.7 * (end[1] - foot[1]),
        *end,
    )
    s.canvas.drawPath(string, line(s.ink.string, 0.014))
    s.canvas.save()
    s.canvas.translate(*middle)
    s.canvas.rotate(-degrees(tip))
    knot = skia.Path()
    knot.addPoly([skia.Point(0.0, -0.28), skia.Point(-0.045, -0.345), skia.Point(0.045, -0.345)], True)
    s.canvas.drawPath(knot, fill(s.ink.shade))
    skin = skia.Path()
    skin.moveTo(0.0, 0.31)
    skin.cubicTo(0.17, 0.31, 0.265, 0.19, 0.265, 0.045)
    skin.cubicTo(0.265, -0.12, 0.12, -0.23, 0.0, -0.3)
    skin.cubicTo(-0.12, -0.23, -0.265, -0.12, -0.265, 0.045)
    skin.cubicTo(-0.265, 0.19, -0.17, 0.31, 0.0, 0.31)
    skin.close()
    _paper(s, skin)
    moved = skia.Path(skin)
    moved.offset(-0.075, 0.045)
    s.canvas.drawPath(skia.Op(skin, moved, skia.PathOp.kDifference_PathOp), _multiply())
    s.canvas.drawPath(skin, line(s.ink.contour, CONTOUR))
    s.canvas.translate(-0.115, 0.135)
    s.canvas.rotate(-32.0)
    s.canvas.drawOval(
        skia.Rect.MakeLTRB(-0.028, -0.07, 0.028, 0.07),
        skia.Paint(Color=s.ink.pale, AntiAlias=True, Alphaf=0.75),
    )
    s.canvas.restore()


def _draw_kite(s: _Setting, roll: float) -> None:
    flutter = sin(2 * pi * 0.45 * s.time)
    lean = roll + 0.05 * flutter
    foot = (-0.33 * sin(lean), -0.33 * cos(lean))
    end = (s.hand[0] * s.held + (1 - s.held) * -0.15, s.hand[1] * s.held + (1 - s.held) * -0.9)
    span = hypot(*end)
    string = skia.Path()
    string.moveTo(0.0, 0.0)
    string.quadTo(0.62 * end[0], 0.42 * end[1] - 0.06 * span, *end)
    s.canvas.drawPath(string, line(s.ink.string, 0.011))
    _draw_kite_tail(s, foot)
    s.canvas.save()
    s.canvas.rotate(-degrees(lean))
    corners = ((0.0, 0.36), (0.235, 0.09), (0.0, -0.33), (-0.235, 0.09))
    sail = _polygon(*corners)
    _paper(s, sail)
    cross = (0.0, 0.09)
    s.canvas.drawPath(_polygon(corners[0], corners[1], cross), fill(s.ink.pale))
    s.canvas.drawPath(_polygon(corners[3], corners[2], cross), fill(s.ink.pale))
    s.canvas.drawPath(_polygon(corners[0], corners[1], corners[2]), _multiply())
    frame = line(s.ink.contour, 0.013)
    s.canvas.drawLine(*corners[0], *corners[2], frame)
    s.canvas.drawLine(*corners[3], *corners[1], frame)
    s.canvas.drawPath(sail, line(s.ink.contour, CONTOUR))
    s.canvas.restore()


def _draw_kite_tail(s: _Setting, foot: Pair) -> None:
    points = [foot]
    for i in range(1, 13):
        u = i / 12
        wave = 0.07 * sin(2 * pi * (1.1 * u - 0.7 * s.time)) * u
        points.append((foot[0] - s.facing * (0.22 * u + wave), foot[1] - 0.62 * u + 0.3 * wave))
    path = skia.Path()
    path.addPoly([skia.Point(*p) for p in points], False)
    s.canvas.drawPath(path, line(s.ink.contour, 0.013))
    for k, i in enumerate((3, 6, 9, 12)):
        (x, y), (px, py) = points[i], points[i - 1]
        s.canvas.save()
        s.canvas.translate(x, y)
        s.canvas.rotate(degrees(atan2(y - py, x - px)) + 90.0)
        bow = _polygon((0.0, 0.0), (0.075, 0.04), (0.075, -0.04), (0.0, 0.0), (-0.075, 0.04), (-0.075, -0.04))
        s.canvas.drawPath(bow, fill(s.ink.pale if k % 2 else s.ink.colour))
        s.canvas.restore()


def _draw_umbrella(s: _Setting, roll: float) -> None:
    reach = 0.64 + 0.08 * s.held
    # on the ground: open, resting on the rim and the end of its handle
    lying, shaft = 1.03, 1.1
    up = (0.88 * s.inward, max(0.68, s.clearance + 0.34))
    held_angle = atan2(up[0], max(0.2, up[1]))
    angle = s.held * (0.8 * held_angle + 0.3 * roll) + (1.0 - s.held) * lying
    top = (
        s.held * up[0] + (1.0 - s.held) * (shaft * sin(lying) - 0.45),
        s.held * up[1] + (1 - s.held) * (shaft * cos(lying) + 0.03),
    )
    shade_side = 1.0 - s.held
    handle = (
        -0.45 * shade_side - 0.11 * s.held * sin(held_angle),
        0.035 * shade_side - 0.11 * s.held * cos(held_angle),
    )
    s.canvas.drawLine(*handle, *top, line(s.ink.wood, 0.034))
    crook = skia.Path()
    crook.moveTo(*handle)
    side = 1.0 if s.facing >= 0 else -1.0
    if s.held > 0.5:
        crook.quadTo(handle[0], handle[1] - 0.1, handle[0] + 0.06 * side, handle[1] - 0.09)
        crook.quadTo(handle[0] + 0.11 * side, handle[1] - 0.08, handle[0] + 0.1 * side, handle[1] - 0.03)
        s.canvas.drawPath(crook, line(s.ink.wood, 0.034))
    s.canvas.save()
    s.canvas.translate(*top)
    s.canvas.rotate(-degrees(angle))
    _draw_canopy(s, reach)
    s.canvas.restore()


def _draw_canopy(s: _Setting, reach: float) -> None:
    """Draws an open umbrella's dome with five scalloped panels; the rim's middle is just below (0, 0)."""
    high, rim = 0.40, -0.1
    xs = (-1.0, -0.62, -0.2, 0.24, 0.66, 1.0)
    peak = (0.0, rim + high)
    s.canvas.drawLine(0.0, rim + high, 0.0, rim + high + 0.07, line(s.ink.wood, 0.03))
    dome = skia.Path()
    for i, (left, right) in enumerate(pairwise(xs)):
        panel = skia.Path()
        panel.moveTo(*peak)
        panel.cubicTo(left * reach * 0.62, peak[1] - 0.02, left * reach, rim + 0.24, left * reach, rim)
        panel.quadTo((left + right) / 2 * reach, rim + 0.085, right * reach, rim)
        panel.cubicTo(right * reach, rim + 0.24, right * reach * 0.62, peak[1] - 0.02, *peak)
        panel.close()
        if i % 2 == 0:
            _paper(s, panel)
        else:
            s.canvas.drawPath(panel, fill(s.ink.pale))
        if right > 0.5:
            s.canvas.drawPath(panel, _multiply())
        dome.addPath(panel)
    s.canvas.drawPath(skia.Simplify(dome), line(s.ink.contour, CONTOUR))


def _draw_flower(s: _Setting, roll: float) -> None:
    s.canvas.translate(0.02 * s.facing * s.held, -0.17 * s.held)
    s.canvas.rotate(-degrees(roll) - 17.0 * s.held * s.facing - 2.5 * sin(2 * pi * 0.4 * s.time))
    stem = skia.Path()
    stem.moveTo(0.0, 0.0)
    stem.quadTo(0.045, 0.24, 0.0, 0.46)
    s.canvas.drawPath(stem, line(s.ink.leaf_shade, 0.034))
    for side, y in ((1.0, 0.10), (-1.0, 0.16)):
        leaf = skia.Path()
        leaf.moveTo(0.015, y)
        leaf.quadTo(side * 0.06, y + 0.12, side * 0.19, y + 0.11)
        leaf.quadTo(side * 0.14, y - 0.02, 0.015, y)
        s.canvas.drawPath(leaf, fill(s.ink.leaf if side > 0 else s.ink.leaf_shade))
    s.canvas.translate(0.0, 0.47)
    petals = skia.Path()
    for i in range(6):
        angle = 2 * pi * i / 6 + 0.3
        petals.addCircle(0.105 * cos(angle), 0.105 * sin(angle), 0.082)
    petals = skia.Simplify(petals)
    _paper(s, petals)
    moved = skia.Path(petals)
    moved.offset(-0.05, 0.03)
    s.canvas.drawPath(skia.Op(petals, moved, skia.PathOp.kDifference_PathOp), _multiply())
    s.canvas.drawPath(petals, line(s.ink.contour, 0.014))
    s.canvas.drawCircle(0.0, 0.0, 0.07, fill(s.ink.gold))
    s.canvas.drawCircle(0.014, -0.012, 0.05, fill(s.ink.gold_shade))
    s.canvas.drawCircle(-0.004, 0.006, 0.052, fill(s.ink.gold))


def _draw_gift(s: _Setting, roll: float) -> None:
    half, high = 0.21, 0.30
    s.canvas.translate(0.17 * s.facing * s.held, -0.14 * s.held)
    s.canvas.translate(0.0, 0.15)
    s.canvas.rotate(-degrees(roll))
    s.canvas.translate(0.0, -0.15)
    bow = skia.Path()
    for side in (-1.0, 1.0):
        bow.moveTo(0.0, high + 0.06)
        bow.cubicTo(side * 0.07, high + 0.21, side * 0.19, high + 0.17, side * 0.16, high + 0.1)
        bow.cubicTo(side * 0.14, high + 0.05, side * 0.06, high + 0.05, 0.0, high + 0.06)
    s.canvas.drawPath(bow, fill(s.ink.gold))
    s.canvas.drawPath(bow, line(s.ink.gold_shade, 0.016))
    body = skia.Path()
    body.addRoundRect(skia.Rect.MakeLTRB(-half, 0.0, half, high - 0.03), 0.025, 0.025)
    _paper(s, body)
    lid = skia.Path()
    lid.addRoundRect(skia.Rect.MakeLTRB(-half - 0.025, high - 0.07, half + 0.025, high + 0.03), 0.025, 0.025)
    s.canvas.drawRect(
        skia.Rect.MakeLTRB(-half + 0.01, high - 0.1, half - 0.01, high - 0.07), fill(s.ink.shade)
    )
    _paper(s, lid)
    s.canvas.drawRect(skia.Rect.MakeLTRB(-0.042, 0.0, 0.042, high + 0.03), fill(s.ink.gold))
    s.canvas.drawRect(skia.Rect.MakeLTRB(half - 0.09, 0.0, half, high - 0.07), _multiply())
    s.canvas.drawRect(skia.Rect.MakeLTRB(half - 0.07, high - 0.07, half + 0.025, high + 0.03), _multiply())
    s.canvas.drawPath(body, line(s.ink.contour, CONTOUR))
    s.canvas.drawPath(lid, line(s.ink.contour, CONTOUR))
    s.canvas.drawCircle(0.0, high + 0.065, 0.04, fill(s.ink.gold))
    s.canvas.drawCircle(0.0, high + 0.065, 0.04, line(s.ink.gold_shade, 0.014))


def _polygon(*points: Pair) -> skia.Path:
    path = skia.Path()
    path.addPoly([skia.Point(*p) for p in points], True)
    return path


def _oval_path(x: float, y: float, rx: float, ry: float) -> skia.Path:
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


_DRAWINGS: Final[dict[str, Callable[[_Setting, float], None]]] = {
    "ball": _draw_ball,
    "balloon": _draw_balloon,
    "kite": _draw_kite,
    "umbrella": _draw_umbrella,
    "flower": _draw_flower,
    "gift": _draw_gift,
}
