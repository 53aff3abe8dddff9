"""Draws faces: eyes, lids, brows, cheeks and mouths, as continuous functions of the pose.

They are drawn in the body's frame; the origin of the face is the middle between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, degrees, pi, sin, sqrt
from typing import Final

import skia

from moc_engine.models.animatic.rasterizer.body import Body
from moc_engine.models.animatic.rasterizer.ink import Ink
from moc_engine.models.animatic.rasterizer.pose import CharacterPose
from moc_engine.models.animatic.rasterizer.shading import fill, line
from moc_engine.models.animatic.rasterizer.stance import Stance

EYE_WIDTH: Final = 0.22
EYE_HEIGHT: Final = 0.26
EYE_SPACING: Final = 0.35
PUPIL: Final = 0.13
_OFFSET: Final = 0.06
_HIDDEN: Final = 0.75


class Face:
    """The position of a pose's face on the body, and how far it is turned away."""

    def __init__(self, pose: CharacterPose, stance: Stance, body: Body) -> None:
        away = min(1.0, stance.back / _HIDDEN)
        self.pose = pose
        self.facing = stance.facing
        self.visible = stance.back < _HIDDEN
        self.turning = away > 0.0
        self.scale = body.build.face_scale
        side = 1.0 if stance.facing >= 0 else -1.0
        self.x = _OFFSET * stance.facing + side * away**1.5 * 0.5
        self.y = body.build.face
        self.squeeze = 1.0 - 0.7 * away
        self.spacing = EYE_SPACING + 0.05 * min(1.0, pose.wears("glasses"))


def draw_face(canvas: skia.Canvas, face: Face, body: Body, ink: Ink) -> None:
    if not face.visible:
        return
    canvas.save()
    if face.turning:
        canvas.clipPath(body.path, doAntiAlias=True)
    move_to_face(canvas, face)
    _draw_cheeks(canvas, face, ink)
    _draw_mouth(canvas, face, ink)
    for side in (-1.0, 1.0):
        _draw_eye(canvas, face, ink, side)
    _draw_tear(canvas, face, ink)
    canvas.restore()


def move_to_face(canvas: skia.Canvas, face: Face) -> None:
    """Moves the origin of the canvas to the middle between the eyes."""
    canvas.translate(face.x, face.y)
    canvas.scale(face.scale * face.squeeze, face.scale)


def _draw_cheeks(canvas: skia.Canvas, face: Face, ink: Ink) -> None:
    paint = fill(ink.cheek)
    paint.setAlphaf(0.82)
    for side in (-1.0, 1.0):
        canvas.drawOval(_oval(side * (face.spacing / 2 + 0.1), -0.135, 0.062, 0.042), paint)


def _draw_eye(canvas: skia.Canvas, face: Face, ink: Ink, side: float) -> None:
    pose = face.pose
    x = side * face.spacing / 2
    opening = max(0.0, pose.eye)
    wide = max(1.0, opening) * EYE_WIDTH / 2
    high = opening * EYE_HEIGHT / 2
    closed = 1.0 - _smooth((opening - 0.1) / 0.25)
    canvas.save()
    canvas.translate(x, 0.0)
    if opening > 0.06:
        lid = max(pose.lid, _blink(pose.time) * (1.0 - closed))
        _draw_open_eye(canvas, face, ink, side, wide, high, lid)
    if closed > 0.02:
        _draw_closed_eye(canvas, pose, ink, side, closed)
    _draw_brow(canvas, pose, ink, side, max(high, 0.085, 0.16 * pose.wears("glasses")))
    canvas.restore()


def _draw_open_eye(
    canvas: skia.Canvas, face: Face, ink: Ink, side: float, wide: float, high: float, lid: float
) -> None:
    pose = face.pose
    canvas.drawOval(_oval(0.0, 0.0, wide, high), fill(ink.white))
    gaze = max(-1.0, min(1.0, pose.gaze)) * face.facing
    size = PUPIL / 2 * max(0.2, pose.pupil)
    px = 0.008 * face.facing + gaze * max(0.0, wide - 0.6 * size - 0.045)
    tall = min(1.1 * size, 0.92 * high)
    py = min(0.0, -0.25 * lid * (high - tall))
    canvas.drawOval(_oval(px, py, size, tall), fill(ink.line))
    shine = 0.33 * size
    canvas.drawOval(_oval(px + 0.38 * size, py + 0.42 * tall, shine, min(shine, 0.4 * tall)), fill(ink.shine))
    if lid > 0.02:
        _draw_lid(canvas, ink, wide, high, min(1.0, lid), side * pose.lid_tilt)


def _draw_lid(canvas: skia.Canvas, ink: Ink, wide: float, high: float, lid: float, slope: float) -> None:
    """Draws the lid over the eye above a line through (0, edge) with the given slope, and the line itself."""
    edge = high * (1.0 - 2.0 * min(lid, 0.97))
    # intersects the ellipse with y = edge + slope x, in the frame where it is a unit circle
    k, c = slope * wide / high, edge / high
    root = sqrt(max(1e-4, 1.0 + k * k - c * c))
    ends = [((-k * c + s * root) / (1.0 + k * k)) for s in (-1.0, 1.0)]
    left, right = ((u * wide, edge + slope * u * wide) for u in ends)
    grow = 1.06
    skin = skia.Path()
    skin.addOval(_oval(0.0, 0.0, wide * grow, high * grow))
    canvas.save()
    canvas.clipPath(_above(left, right), doAntiAlias=True)
    canvas.drawPath(skin, fill(ink.lid))
    canvas.restore()
    lash = skia.Path()
    lash.moveTo(left[0] * 1.04, left[1])
    lash.quadTo((left[0] + right[0]) / 2, (left[1] + right[1]) / 2 + 0.012, right[0] * 1.04, right[1])
    canvas.drawPath(lash, line(ink.line, 0.026))


def _above(left: tuple[float, float], right: tuple[float, float]) -> skia.Path:
    slope = (right[1] - left[1]) / max(1e-3, right[0] - left[0])
    path = skia.Path()
    path.moveTo(-0.4, left[1] - slope * (left[0] + 0.4))
    path.lineTo(0.4, right[1] + slope * (0.4 - right[0]))
    path.lineTo(0.4, 0.6)
    path.lineTo(-0.4, 0.6)
    path.close()
    return path


def _draw_closed_eye(canvas: skia.Canvas, pose: CharacterPose, ink: Ink, side: float, closed: float) -> None:
    """Draws a closed eye as an arc: bent down with lashes in sleep, bent up in laughter."""
    laughing = _smooth((pose.mouth_curve - 0.4) / 0.3)
    sag = -0.075 + 0.185 * laughing
    half = 0.105 - 0.012 * laughing
    foot = -0.01 - 0.045 * laughing
    paint = line(ink.line, 0.038)
    paint.setAlphaf(closed)
    arc = skia.Path()
    arc.moveTo(-half, foot)
    arc.cubicTo(-0.55 * half, foot + 4 / 3 * sag, 0.55 * half, foot + 4 / 3 * sag, half, foot)
    canvas.drawPath(arc, paint)
    lashes = closed * (1.0 - laughing)
    if lashes <= 0.02:
        return
    paint.setStrokeWidth(0.02)
    paint.setAlphaf(lashes)
    for u in (-0.78, 0.0, 0.78):
        y = foot + sag * (1.0 - u * u)
        canvas.drawLine(u * half, y, u * half * 1.28, y - 0.042 + 0.008 * abs(u), paint)


def _draw_brow(canvas: skia.Canvas, pose: CharacterPose, ink: Ink, side: float, high: float) -> None:
    canvas.save()
    canvas.translate(0.012 * side, high + 0.068 + pose.brow_lift)
    canvas.rotate(degrees(side * pose.brow) - 3.0 * side)
    arch = 0.024 * (1.0 - 0.75 * min(1.0, abs(max(0.0, pose.brow)) / 0.4))
    brow = skia.Path()
    brow.moveTo(-0.08, -0.01)
    brow.quadTo(0.0, -0.01 + 2 * arch, 0.08, -0.01)
    canvas.drawPath(brow, line(ink.line, 0.046))
    canvas.restore()


def _draw_mouth(canvas: skia.Canvas, face: Face, ink: Ink) -> None:
    """Draws a mouth that opens below its corners (laugh), around them (O) or above them (wail)."""
    pose = face.pose
    opened = max(0.0, min(1.0, pose.mouth_open))
    curve = max(-1.0, min(1.0, pose.mouth_curve))
    bared = max(0.0, min(1.0, pose.teeth))
    half = max(0.04, pose.mouth_width / 2)
    gape = opened * (0.095 + half) + 0.045 * bared
    smile, down = max(0.0, curve), 0.5 + 0.5 * curve * (1.0 - 0.6 * bared)
    corner = 0.05 * curve * (1.0 - 0.5 * bared)
    sag = 0.08 * curve * (1.0 - opened) * (1.0 - bared) + 0.012 * smile * opened
    top = corner - sag + gape * (1.0 - down)
    bottom = corner - sag - gape * down
    lips = _Lips(
        half=half,
        corner=corner,
        top=top,
        bottom=bottom,
        boxy=2.0 - 0.1 * smile * opened + 3.0 * bared,
        narrow=0.16 * bared,
    )
    path = lips.path()
    canvas.save()
    canvas.translate(
        0.008 * face.facing, -0.21 - 0.045 * bared - 0.035 * opened * (1.0 - smile) - 0.005 * smile * opened
    )
    if gape > 0.004:
        canvas.drawPath(path, fill(ink.mouth))
        _draw_inside(canvas, ink, lips, path, smile, opened, bared)
    edge = max(1.0 - _smooth(opened / 0.2), bared)
    if edge > 0.01:
        canvas.drawPath(path, line(ink.line, 0.036 * edge))
    canvas.restore()


@dataclass(frozen=True, kw_only=True)
class _Lips:
    """The outline of a mouth: corners at ±half, arched up to `top` and down to `bottom`."""

    half: float
    corner: float
    top: float
    bottom: float
    boxy: float  # exponent of the arches: 2 round, 5 nearly square
    narrow: float  # by how much the upper lip is shorter

    def path(self) -> skia.Path:
        points = []
        for u, v in _arch(self.boxy):
            points.append(
                skia.Point(
                    u * self.half * (1.0 - self.narrow * v), self.corner + v * (self.top - self.corner)
                )
            )
        for u, v in reversed(_arch(self.boxy)):
            points.append(skia.Point(u * self.half, self.corner + v * (self.bottom - self.corner)))
        path = skia.Path()
        path.addPoly(points, True)
        return path

    def teeth(self, drop: float, inset: float) -> skia.Path:
        """The upper teeth: as wide as the mouth less `inset`, down to `drop` below the upper lip."""
        wide = self.half - inset
        points = [skia.Point(-wide, self.corner + 0.1), skia.Point(wide, self.corner + 0.1)]
        for u, v in reversed(_arch(2.0)):
            points.append(skia.Point(u * wide, self.corner + v * (self.top - self.corner) - drop))
        path = skia.Path()
        path.addPoly(points, True)
        return path


@lru_cache(maxsize=64)
def _arch_at(boxy: float) -> tuple[tuple[float, float], ...]:
    angles = [pi * (1.0 - i / 16.0) for i in range(17)]
    return tuple(
        (
            (1.0 if cos(a) >= 0 else -1.0) * abs(cos(a)) ** (2.0 / boxy),
            max(0.0, sin(a)) ** (2.0 / boxy),
        )
        for a in angles
    )


def _arch(boxy: float) -> tuple[tuple[float, float], ...]:
    """The upper half of a superellipse from left to right: (-1, 0) over (0, 1) to (1, 0)."""
    return _arch_at(round(8 * boxy) / 8)


def _draw_inside(
    canvas: skia.Canvas, ink: Ink, lips: _Lips, path: skia.Path, smile: float, opened: float, bared: float
) -> None:
    canvas.save()
    canvas.clipPath(path, doAntiAlias=True)
    tongue = smile * _smooth((opened - 0.3) / 0.4) * (1.0 - bared)
    if tongue > 0.02:
        canvas.drawOval(_oval(0.01, lips.bottom - 0.008, 0.56 * lips.half, 0.078 * tongue), fill(ink.tongue))
    upper = _smooth((smile - 0.35) / 0.4) * _smooth((opened - 0.1) / 0.3) * (1.0 - bared)
    if upper > 0.02:
        canvas.drawPath(lips.teeth(0.06 * upper, 0.022), fill(ink.white))
    if bared > 0.02:
        white, gum = fill(ink.white), line(ink.mouth, 0.015)
        white.setAlphaf(bared)
        gum.setAlphaf(bared)
        canvas.drawPath(path, white)
        middle = (lips.top + lips.bottom) / 2
        canvas.drawLine(-lips.half, middle, lips.half, middle, gum)
        for u in (-0.45, 0.0, 0.45):
            canvas.drawLine(
                u * lips.half, lips.bottom - 0.1, u * lips.half * (1 - lips.narrow), lips.top + 0.1, gum
            )
    canvas.restore()


def _draw_tear(canvas: skia.Canvas, face: Face, ink: Ink) -> None:
    amount = face.pose.tear
    if amount <= 0.02:
        return
    side = 1.0 if face.facing >= 0 else -1.0
    fall = 0.02 * sin(2 * pi * 0.8 * face.pose.time)
    canvas.save()
    canvas.translate(side * (face.spacing / 2 + 0.012), -0.155 + fall)
    canvas.scale(amount, amount)
    drop = skia.Path()
    drop.moveTo(0.005, 0.09)
    drop.cubicTo(0.012, 0.04, 0.05, 0.02, 0.05, -0.018)
    drop.cubicTo(0.05, -0.075, -0.05, -0.075, -0.05, -0.018)
    drop.cubicTo(-0.05, 0.02, -0.008, 0.04, 0.005, 0.09)
    canvas.drawPath(drop, fill(ink.tear))
    canvas.drawOval(_oval(-0.018, -0.022, 0.012, 0.016), fill(ink.shine))
    canvas.restore()


def _blink(time: float) -> float:
    """How far blinking closes the lids (0–1): every 3.3 seconds, each third time twice."""
    beat = time % 3.3
    twice = 0.28 if int(time / 3.3) % 3 == 2 else 0.0
    return max(_lid_closure(beat - 2.25), _lid_closure(beat - 2.25 - twice))


def _lid_closure(since: float) -> float:
    return 0.5 - 0.5 * cos(2 * pi * since / 0.2) if 0.0 < since < 0.2 else 0.0


def _oval(x: float, y: float, rx: float, ry: float) -> skia.Rect:
    return skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry)


def _smooth(u: float) -> float:
    u = max(0.0, min(1.0, u))
    return u * u * (3.0 - 2.0 * u)
