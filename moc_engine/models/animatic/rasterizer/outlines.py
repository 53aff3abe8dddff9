"""Closed paths for painting: smooth outlines, leaves, ridges and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import skia

Point = tuple[float, float]


def polygon(points: Iterable[Point]) -> skia.Path:
    path = skia.Path()
    for i, (x, y) in enumerate(points):
        (path.lineTo if i else path.moveTo)(x, y)
    path.close()
    return path


def smooth(points: Sequence[Point], *, closed: bool = True) -> skia.Path:
    """A Catmull-Rom curve through the points."""
    path = skia.Path()
    n = len(points)
    path.moveTo(*points[0])
    for i in range(n if closed else n - 1):
        if closed:
            before, start, end, after = (points[(i + k) % n] for k in (-1, 0, 1, 2))
        else:
            before, start = points[max(i - 1, 0)], points[i]
            end, after = points[i + 1], points[min(i + 2, n - 1)]
        path.cubicTo(
            start[0] + (end[0] - before[0]) / 6,
            start[1] + (end[1] - before[1]) / 6,
            end[0] - (after[0] - start[0]) / 6,
            end[1] - (after[1] - start[1]) / 6,
            *end,
        )
    if closed:
        path.close()
    return path


def ellipse(x: float, y: float, rx: float, ry: float) -> skia.Path:
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry))
    return path


def box(x: float, y: float, width: float, height: float, radius: float = 0.0) -> skia.Path:
    """A rectangle given by its top left corner, with rounded corners."""
    path = skia.Path()
    path.addRoundRect(skia.Rect.MakeXYWH(x, y, width, height), radius, radius)
    return path


def ridge(
    left: float, right: float, bottom: float, height_at: Callable[[float], float], step: float = 16.0
) -> skia.Path:
    """The area below y = height_at(x), down to `bottom`."""
    xs = np.append(np.arange(left, right, step), right)
    path = skia.Path()
    path.moveTo(left, bottom)
    for x in xs:
        path.lineTo(float(x), height_at(float(x)))
    path.lineTo(right, bottom)
    path.close()
    return path


def hills(
    left: float, right: float, bottom: float, level: float, *terms: tuple[float, float, float]
) -> skia.Path:
    """The area below a sum of sines around y = level; the terms are those of `waves`."""
    return ridge(left, right, bottom, lambda x: level + waves(x, *terms))


def blade(x: float, y: float, length: float, width: float, angle: float, bend: float = 0.0) -> skia.Path:
    """A bent leaf that starts at (x, y); `angle` is in radians from upright, positive to the right."""
    along = (np.sin(angle), -np.cos(angle))
    side = (np.cos(angle), np.sin(angle))
    tip = (x + along[0] * length + side[0] * bend, y + along[1] * length + side[1] * bend)

    def at(u: float, v: float) -> Point:
        return (
            x + along[0] * length * u + side[0] * (v + bend * u * u * 0.6),
            y + along[1] * length * u + side[1] * (v + bend * u * u * 0.6),
        )

    path = skia.Path()
    path.moveTo(x, y)
    path.quadTo(*at(0.45, -width), *tip)
    path.quadTo(*at(0.45, width), x, y)
    path.close()
    return path


def almond(x: float, top: float, bottom: float, width: float, waist: float = 0.45) -> skia.Path:
    """A leaf-shaped tree crown: pointed above and below, widest at `waist` of its height."""
    middle = top + (bottom - top) * waist
    half = width / 2
    path = skia.Path()
    path.moveTo(x, top)
    path.cubicTo(
        x + half * 0.75,
        top + (middle - top) * 0.32,
        x + half,
        middle - (middle - top) * 0.3,
        x + half,
        middle,
    )
    path.cubicTo(
        x + half,
        middle + (bottom - middle) * 0.5,
        x + half * 0.45,
        bottom - (bottom - middle) * 0.2,
        x,
        bottom,
    )
    path.cubicTo(
        x - half * 0.45,
        bottom - (bottom - middle) * 0.2,
        x - half,
        middle + (bottom - middle) * 0.5,
        x - half,
        middle,
    )
    path.cubicTo(
        x - half, middle - (middle - top) * 0.3, x - half * 0.75, top + (middle - top) * 0.32, x, top
    )
    path.close()
    return path


def waves(x: float, *terms: tuple[float, float, float]) -> float:
    """A sum of sines: (height, wavelength, phase in turns) each."""
    return float(sum(h * np.sin(2 * np.pi * (x / length + turn)) for h, length, turn in terms))


def edge_placement(number: float) -> tuple[float, float]:
    """The side and the size of an object at the edge of the picture, for a layout number within ±1.

    The side is -1 left .. 1 right and changes quickly around the middle. In the middle the object is
    distant and small so that characters do not cover it.
    """
    return float(np.tanh(2.6 * number)), 0.5 + 0.5 * min(1.0, abs(number) / 0.32)


def hashed(*keys: float) -> float:
    """A pseudo-random number within 0–1 for a tuple of numbers, always the same."""
    total = 0.0
    for i, key in enumerate(keys):
        total += key * (12.9898 + 37.719 * i)
    value = float(np.sin(total) * 43758.5453)
    return value - float(np.floor(value))
