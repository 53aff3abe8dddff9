"""Draws accessories: hats, crowns, glasses, scarves and backpacks.

Each scales in with its amount, with a small overshoot, and several can be worn at once.
Loose parts trail the body; they are moved by the lagged speed of the stance.
"""

from __future__ import annotations

from math import atan2, cos, degrees, exp, hypot, pi, sin
from typing import Final

import skia

from moc_engine.models.animatic.rasterizer.body import CONTOUR, Body
from moc_engine.models.animatic.rasterizer.face import Face, move_to_face
from moc_engine.models.animatic.rasterizer.ink import Ink
from moc_engine.models.animatic.rasterizer.pose import CharacterPose, Pair
from moc_engine.models.animatic.rasterizer.shading import fill, line
from moc_engine.models.animatic.rasterizer.stance import Stance

HAT_HEIGHT: Final = 0.5
CROWN_HEIGHT: Final = 0.36
PACK_TURNS: Final = -0.4
"""The sine of the yaw below which a backpack is drawn in front of the body."""

_TAIL_LENGTH: Final = 0.72


def overshoot_scale(amount: float) -> float:
    """A scale factor that grows from 0 to 1 with a small overshoot."""
    u = min(1.0, max(0.0, amount)) - 1.0
    return 1.0 + 2.4 * u**3 + 1.4 * u**2


def draw_headwear(canvas: skia.Canvas, pose: CharacterPose, stance: Stance, body: Body, ink: Ink) -> None:
    """Draws the hat and the crown in the body's frame; with both, the crown surrounds the base of the hat."""
    hat, crown = pose.wears("hat"), pose.wears("crown")
    if hat > 0.0:
        _enter_headwear_frame(canvas, stance, body, overshoot_scale(hat), tip=5.0)
        _draw_hat(canvas, ink, _top_offset(stance))
        canvas.restore()
    if crown > 0.0:
        _enter_headwear_frame(canvas, stance, body, 1.14 * overshoot_scale(crown), tip=-3.0)
        _draw_crown(canvas, ink, _top_offset(stance))
        canvas.restore()


def _enter_headwear_frame(canvas: skia.Canvas, stance: Stance, body: Body, size: float, tip: float) -> None:
    """Saves the canvas and moves it to the headwear's frame, with the brim at (0, 0)."""
    scale = size * body.build.hat_scale
    canvas.save()
    canvas.translate(0.02 * stance.facing, body.build.brow)
    canvas.rotate(tip * stance.facing)
    canvas.scale(scale, scale)


def _top_offset(stance: Stance) -> float:
    """The horizontal offset of the top of tall headwear, against the body's motion."""
    vx, vy = stance.speed
    return max(
        -0.12, min(0.12, -0.035 * vx - 0.05 * vy * (1 if stance.facing >= 0 else -1) - 0.03 * stance.facing)
    )


def _draw_hat(canvas: skia.Canvas, ink: Ink, bend: float) -> None:
    tube = _hat_side(0.0, HAT_HEIGHT, 0.275, 0.315, bend)
    canvas.drawPath(tube, fill(ink.hat))
    if ink.hat_line != ink.hat:
        canvas.drawPath(tube, line(ink.hat_line, 0.014))
    shaded = _hat_side(0.0, HAT_HEIGHT, 0.275, 0.315, bend, left=0.4)
    canvas.drawPath(shaded, fill(ink.hat_shade))
    canvas.drawPath(_hat_side(0.0, 0.17, 0.275, 0.283, 0.34 * bend), fill(ink.accent))
    canvas.drawPath(_hat_side(0.0, 0.17, 0.275, 0.283, 0.34 * bend, left=0.4), fill(ink.accent_shade))
    brim = skia.Path()
    brim.moveTo(-0.47, 0.035)
    brim.cubicTo(-0.2, -0.06, 0.2, -0.06, 0.47, 0.035)
    canvas.drawPath(brim, line(ink.hat_brim, 0.05))


def _hat_side(
    foot: float, top: float, narrow: float, wide: float, bend: float, left: float = -1.0
) -> skia.Path:
    """The side of a hat between two heights, from `left` (-1 left edge, 1 right edge) to its right edge."""
    middle = (foot + top) / 2
    waist = 0.5 * (narrow + wide) - 0.022 * (top - foot) / HAT_HEIGHT
    path = skia.Path()
    path.moveTo(left * narrow, foot - 0.02 * (1 - left * left))
    path.quadTo(left * waist + 0.3 * bend, middle, left * wide + bend, top)
    path.quadTo((left + 1) / 2 * wide + bend, top + 0.035 * (1 - left) / 2 - 0.0, wide + bend, top - 0.008)
    path.quadTo(waist + 0.3 * bend, middle, narrow, foot)
    path.quadTo(
        (left + 1) / 2 * narrow, foot - 0.045 * (1 - left) / 2, left * narrow, foot - 0.02 * (1 - left * left)
    )
    path.close()
    return path


def _draw_crown(canvas: skia.Canvas, ink: Ink, bend: float) -> None:
    peaks = [(-0.33 + bend, 0.30), (0.015 + 1.2 * bend, 0.335), (0.36 + bend, 0.27)]
    outline = skia.Path()
    outline.moveTo(-0.285, 0.0)
    outline.lineTo(*peaks[0])
    outline.lineTo(-0.135 + 0.5 * bend, 0.155)
    outline.lineTo(*peaks[1])
    outline.lineTo(0.165 + 0.5 * bend, 0.14)
    outline.lineTo(*peaks[2])
    outline.lineTo(0.285, 0.0)
    outline.quadTo(0.0, -0.085, -0.285, 0.0)
    outline.close()
    canvas.drawPath(outline, fill(ink.gold))
    canvas.save()
    canvas.clipPath(outline, doAntiAlias=True)
    shade = skia.Path()
    shade.addPoly([skia.Point(*p) for p in ((0.07, -0.2), (0.11 + bend, 0.5), (0.6, 0.5), (0.6, -0.2))], True)
    canvas.drawPath(shade, fill(ink.gold_shade))
    band = skia.Path()
    band.moveTo(-0.4, 0.075)
    band.quadTo(0.0, -0.05, 0.4, 0.075)
    band.lineTo(0.4, -0.2)
    band.lineTo(-0.4, -0.2)
    band.close()
    canvas.drawPath(band, fill(ink.accent))
    canvas.restore()
    canvas.drawPath(outline, line(ink.gold_line, CONTOUR))
    for x, y in peaks:
        canvas.drawCircle(x, y + 0.03, 0.05, fill(ink.accent))


def draw_glasses(canvas: skia.Canvas, pose: CharacterPose, face: Face, ink: Ink) -> None:
    """Draws the glasses in the body's frame."""
    amount = pose.wears("glasses")
    if amount <= 0.0 or not face.visible:
        return
    size = overshoot_scale(amount)
    canvas.save()
    move_to_face(canvas, face)
    canvas.scale(size, size)
    frame = line(ink.accent, 0.058)
    x = face.spacing / 2
    lens = skia.Paint(Color=ink.shine, AntiAlias=True, Alphaf=0.16)
    for side in (-1.0, 1.0):
        rim = skia.Rect.MakeLTRB(side * x - 0.178, -0.188, side * x + 0.178, 0.188)
        canvas.drawOval(rim, lens)
        canvas.drawOval(rim, frame)
        temple = skia.Path()
        temple.moveTo(side * (x + 0.178), 0.015)
        temple.lineTo(side * (x + 0.178 + 0.1), 0.055)
        canvas.drawPath(temple, frame)
    canvas.restore()


def draw_scarf_tail(
    canvas: skia.Canvas, pose: CharacterPose, stance: Stance, body: Body, ink: Ink, wind: float
) -> None:
    """Draws the long scarf end behind the body in the figure's frame; wind (0–1) blows to the right."""
    amount = pose.wears("scarf")
    if amount <= 0.0:
        return
    size = overshoot_scale(amount)
    neck = body.build.neck
    root = stance.place(-0.82 * stance.facing * body.half_width(neck), neck + 0.01)
    size *= 0.4 + 0.6 * min(1.0, 1.3 * abs(stance.facing))  # hidden behind the body in a front view
    ribbon = _ribbon(pose, stance, root, size, wind)
    _draw_ribbon(canvas, ribbon, 0.076 * min(1.0, overshoot_scale(amount)), ink)


def _ribbon(pose: CharacterPose, stance: Stance, root: Pair, size: float, wind: float) -> list[Pair]:
    """Points along the scarf end, which hangs back and down and trails the motion."""
    vx, vy = stance.speed
    gait = pose.walk + 1.6 * pose.run
    back = -stance.facing if abs(stance.facing) > 0.05 else -0.05
    wx = back * (1.15 + 0.9 * gait) - 0.55 * vx + 1.5 * wind
    wy = -0.85 + 0.55 * min(1.5, gait + wind) - 0.5 * vy
    heading = atan2(wy, wx)
    side = 1.0 if wx > 0 else -1.0
    turn = atan2(pose.phase[1], pose.phase[0]) * 2.0 * min(1.0, gait) + 2.4 * pose.time
    sway = 0.28 + 0.16 * min(1.0, gait)
    points = [root]
    x, y = root
    steps = 14
    for i in range(steps):
        u = (i + 0.5) / steps
        angle = heading + side * sway * u * sin(turn - 3.6 * u + 0.6) + side * 0.12 * (1.0 - 2.0 * u)
        x += _TAIL_LENGTH * size / steps * cos(angle)
        y += _TAIL_LENGTH * size / steps * sin(angle)
        points.append((x, max(y, 0.07)))
    return points


def _draw_ribbon(canvas: skia.Canvas, points: list[Pair], half: float, ink: Ink) -> None:
    left, right = [], []
    normals = []
    for i, (x, y) in enumerate(points):
        ahead, behind = points[min(i + 1, len(points) - 1)], points[max(i - 1, 0)]
        dx, dy = ahead[0] - behind[0], ahead[1] - behind[1]
        length = max(hypot(dx, dy), 1e-6)
        nx, ny = -dy / length * half, dx / length * half
        normals.append((nx, ny, dx / length, dy / length))
        left.append(skia.Point(x + nx, y + ny))
        right.append(skia.Point(x - nx, y - ny))
    band = skia.Path()
    band.addPoly(left + right[::-1], True)
    (x, y), (nx, ny, tx, ty) = points[-1], normals[-1]
    fringe = line(ink.accent_deep, 0.026)
    for k in range(5):
        s = 0.86 * (k / 2.0 - 1.0)
        canvas.drawLine(
            x + s * nx - 0.02 * tx,
            y + s * ny - 0.02 * ty,
            x + s * nx + 0.075 * tx,
            y + s * ny + 0.075 * ty,
            fringe,
        )
    canvas.drawPath(band, fill(ink.accent_deep))
    stripe = fill(ink.stripe)
    for i in (3, 7, 11):
        bar = skia.Path()
        bar.addPoly([left[i], left[i + 1], right[i + 1], right[i]], True)
        canvas.drawPath(bar, stripe)


def draw_scarf(canvas: skia.Canvas, pose: CharacterPose, stance: Stance, body: Body, ink: Ink) -> None:
    """Draws the scarf around the body and its short front end in the body's frame."""
    amount = pose.wears("scarf")
    if amount <= 0.0:
        return
    size = min(1.0, overshoot_scale(amount))
    neck = body.build.neck
    half = 0.088 * size
    wrap = _wrap(neck, half)
    canvas.save()
    canvas.clipPath(body.path, doAntiAlias=True)
    canvas.save()
    canvas.translate(0.0, -0.022)
    canvas.drawPath(wrap, skia.Paint(Color=ink.contour, AntiAlias=True, Alphaf=0.45))
    canvas.restore()
    canvas.drawPath(wrap, fill(ink.accent_light))
    stripe = line(ink.stripe, 0.045 * size)
    stripe.setStrokeCap(skia.Paint.kButt_Cap)
    canvas.clipPath(wrap, doAntiAlias=True)
    for i in range(-4, 5):
        x = 0.165 * i + 0.05 * stance.facing
        y = neck - 0.045 * cos(pi * x)
        canvas.drawLine(x - 0.012, y + 0.16, x + 0.012 + 0.02 * x, y - 0.16, stripe)
    shade = skia.Paint(Color=ink.accent_shade, AntiAlias=True, Alphaf=0.55)
    canvas.drawPath(body.crescent(-0.13, 0.07), shade)
    canvas.restore()
    _draw_knot(canvas, pose, stance, neck, size, ink)


def _wrap(neck: float, half: float) -> skia.Path:
    path = skia.Path()
    path.moveTo(-0.75, neck + half + 0.035)
    path.quadTo(0.0, neck + half - 0.1, 0.75, neck + half + 0.035)
    path.lineTo(0.75, neck - half + 0.035)
    path.quadTo(0.0, neck - half - 0.1, -0.75, neck - half + 0.035)
    path.close()
    return path


def _draw_knot(
    canvas: skia.Canvas, pose: CharacterPose, stance: Stance, neck: float, size: float, ink: Ink
) -> None:
    if stance.back >= 0.75:
        return
    vx, vy = stance.speed
    swing = max(-24.0, min(24.0, 7.0 * stance.facing - 6.0 * vx * 0.5 + 3.0 * vy))
    canvas.save()
    canvas.translate(-0.14 * stance.facing, neck - 0.03)
    canvas.scale(size, size * (1.0 - 0.6 * pose.sit))
    canvas.rotate(degrees(stance.lean) * 0.6 - swing)
    end = skia.Path()
    end.moveTo(-0.085, 0.02)
    end.lineTo(-0.105, -0.31)
    end.quadTo(-0.105, -0.335, -0.08, -0.335)
    end.lineTo(0.08, -0.335)
    end.quadTo(0.105, -0.335, 0.105, -0.31)
    end.lineTo(0.085, 0.02)
    end.close()
    canvas.drawPath(end, fill(ink.accent_deep))
    stripe = fill(ink.stripe)
    for y in (-0.16, -0.27):
        canvas.drawRect(skia.Rect.MakeLTRB(-0.1, y - 0.018, 0.1, y + 0.018), stripe)
    knot = skia.Rect.MakeLTRB(-0.1, -0.09, 0.1, 0.085)
    canvas.drawRoundRect(knot, 0.045, 0.045, fill(ink.accent_light))
    canvas.restore()


def draw_backpack(canvas: skia.Canvas, pose: CharacterPose, stance: Stance, body: Body, ink: Ink) -> None:
    """Draws the bag in the body's frame, behind the body or on the back of a character seen from behind."""
    amount = pose.wears("backpack")
    if amount <= 0.0:
        return
    size = overshoot_scale(amount)
    high = 0.47 * body.height
    edge = body.half_width(high)
    side = 1.0 if stance.facing >= 0 else -1.0
    canvas.save()
    # moved away from the body while it passes from behind to in front, so that it does not cut through
    clear = 0.30 * exp(-(((pose.yaw[1] - PACK_TURNS) / 0.22) ** 2))
    canvas.translate(-stance.facing * (edge - 0.03 + clear), high - 0.02 * stance.speed[1])
    canvas.scale(side * size, size)
    canvas.drawRoundRect(skia.Rect.MakeLTRB(-0.2, 0.22, 0.16, 0.41), 0.09, 0.09, fill(ink.accent_pale))
    canvas.drawRoundRect(skia.Rect.MakeLTRB(-0.235, -0.36, 0.235, 0.29), 0.11, 0.11, fill(ink.accent_shade))
    canvas.drawRoundRect(skia.Rect.MakeLTRB(-0.235, -0.32, 0.235, 0.29), 0.11, 0.11, fill(ink.accent))
    canvas.drawLine(-0.21, 0.06, 0.2, 0.03, line(ink.accent_pale, 0.026))
    canvas.drawRoundRect(skia.Rect.MakeLTRB(-0.33, -0.27, 0.02, 0.02), 0.07, 0.07, fill(ink.accent_shade))
    canvas.restore()


def draw_straps(canvas: skia.Canvas, pose: CharacterPose, stance: Stance, body: Body, ink: Ink) -> None:
    """Draws the backpack straps in the body's frame, near the edges of the body."""
    amount = pose.wears("backpack")
    if amount <= 0.0 or stance.back >= 0.6:
        return
    size = min(1.0, overshoot_scale(amount))
    high, low = body.build.face + 0.12, 0.17
    shift = 0.015 * stance.facing
    paint = line(ink.accent_deep, 0.07 * size)
    for side in (-1.0, 1.0):
        upper = side * min(0.40, body.half_width(high) - 0.075) + shift
        lower = side * min(0.40, body.half_width(low) - 0.075) + shift
        middle = (upper + lower) / 2 + 0.035 * stance.facing
        strap = skia.Path()
        strap.moveTo(upper, high)
        strap.quadTo(middle, (high + low) / 2, lower, low)
        canvas.drawPath(strap, paint)


def top_height(pose: CharacterPose, body: Body) -> float:
    """The height of the top of the head or headwear in the body's frame, in H."""
    hat = pose.wears("hat") * HAT_HEIGHT
    crown = pose.wears("crown") * CROWN_HEIGHT
    return max(body.height, body.build.brow + body.build.hat_scale * max(hat, crown))
