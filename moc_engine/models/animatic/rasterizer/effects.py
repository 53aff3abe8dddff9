"""Draws cartoon effects: the Zzz of sleep, dust behind runners and the motion arcs of a spin."""

from __future__ import annotations

from math import atan2, cos, pi, sin

import skia

from moc_engine.models.animatic.rasterizer.ink import Ink
from moc_engine.models.animatic.rasterizer.pose import CharacterPose
from moc_engine.models.animatic.rasterizer.shading import fill, line
from moc_engine.models.animatic.rasterizer.stance import Stance

_DUST = skia.Color(250, 238, 220)
_SWISH = skia.Color(255, 252, 244)


def draw_doze(canvas: skia.Canvas, pose: CharacterPose, stance: Stance, ink: Ink) -> None:
    """Draws three Z that rise from the head one after the other, in the figure's frame."""
    if pose.doze <= 0.02:
        return
    side = 1.0 if stance.facing >= 0 else -1.0
    head = stance.place(side * 0.34, 0.92)
    for i in range(3):
        u = (pose.time * 0.28 + i / 3.0) % 1.0
        size = (0.05 + 0.075 * u) * pose.doze
        strength = pose.doze * min(1.0, 5.0 * u, 3.2 * (1.0 - u))
        x = head[0] + side * (0.14 + 0.30 * u + 0.035 * sin(2 * pi * (1.3 * u + 0.3 * i)))
        y = head[1] + 0.04 + 0.62 * u
        letter = skia.Path()
        letter.addPoly(
            [
                skia.Point(x - size, y + 0.85 * size),
                skia.Point(x + size, y + 0.85 * size),
                skia.Point(x - size, y - 0.85 * size),
                skia.Point(x + size, y - 0.85 * size),
            ],
            False,
        )
        paint = line(ink.doze, 0.03 + 0.008 * u)
        paint.setAlphaf(0.85 * strength)
        canvas.drawPath(letter, paint)


def draw_dust(canvas: skia.Canvas, pose: CharacterPose, stance: Stance) -> None:
    """Draws the dust behind a runner's feet and speed lines, in the figure's frame."""
    if pose.run <= 0.15:
        return
    amount = min(1.0, (pose.run - 0.15) / 0.5) * abs(stance.facing)
    back = -1.0 if stance.facing >= 0 else 1.0
    turn = atan2(pose.phase[1], pose.phase[0]) / (2 * pi)
    paint = fill(_DUST)
    for i in range(4):
        u = (2.0 * turn + 0.25 * i) % 1.0
        age = (u + i % 2) / 2.0
        paint.setAlphaf(0.5 * amount * (1.0 - age))
        canvas.drawCircle(back * (0.42 + 0.75 * age), 0.06 + 0.07 * age, 0.045 + 0.075 * age, paint)
    streak = line(_SWISH, 0.018)
    for i, height in enumerate((0.52, 0.78, 1.02)):
        u = (2.0 * turn + 0.37 * i) % 1.0
        streak.setAlphaf(0.55 * amount * sin(pi * u))
        start = back * (0.72 + 0.25 * u)
        canvas.drawLine(start, height, start + back * (0.16 + 0.12 * (i % 2)), height, streak)


def draw_swish(canvas: skia.Canvas, pose: CharacterPose, stance: Stance, *, front: bool) -> None:
    """Draws arcs around a spinning body in the figure's frame: the half behind it or the half in front."""
    amount = min(1.0, max(0.0, abs(pose.spin) - 1.5) / 2.0)
    if amount <= 0.02:
        return
    heading = atan2(pose.yaw[1], pose.yaw[0])
    sense = 1.0 if pose.spin > 0 else -1.0
    paint = line(_SWISH, 0.017)
    for i, (height, reach) in enumerate(((0.28, 0.6), (0.62, 0.78), (0.98, 0.62))):
        start = heading + sense * 2.1 * i
        arc = skia.Path()
        drawn = False
        for k in range(15):
            angle = start + sense * 1.2 * k / 14
            visible = (sin(angle) > 0.0) == front
            x, y = stance.place(reach * cos(angle), height - 0.13 * sin(angle))
            if visible and drawn:
                arc.lineTo(x, y)
            elif visible:
                arc.moveTo(x, y)
            drawn = visible
        paint.setAlphaf(0.75 * amount)
        canvas.drawPath(arc, paint)
