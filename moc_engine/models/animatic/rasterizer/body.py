"""Body outlines: six shapes and their mixtures.

All outlines have the same number of points so that they can be blended. The body's frame is in H: x = 0 is
the middle, y = 0 the lowest point, and y points up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.pose import Pair, Vector
from moc_engine.models.animatic.scene import SHAPES

Floats = NDArray[np.float64]

SAMPLES: Final = 96
CONTOUR: Final = 0.022
_DENSE_SAMPLES: Final = 960


@dataclass(frozen=True, kw_only=True)
class Build:
    """Positions and scales of the parts on a body."""

    face: float  # height of the eyes
    face_scale: float
    shoulder: Pair  # of the right side; the left is its mirror image
    hip: Pair
    brow: float  # height of the base of a hat or crown
    hat_scale: float
    neck: float  # height of the middle of a scarf
    dip: float  # height of the accent colour's edge


_BUILDS: Final = {
    "round": Build(
        face=0.635, face_scale=1.0, shoulder=(0.45, 0.47), hip=(0.17, 0.11), brow=0.93, hat_scale=0.92,
        neck=0.225, dip=0.29,
    ),
    "square": Build(
        face=0.60, face_scale=1.0, shoulder=(0.425, 0.47), hip=(0.19, 0.09), brow=0.925, hat_scale=1.0,
        neck=0.21, dip=0.29,
    ),
    "triangle": Build(
        face=0.43, face_scale=0.93, shoulder=(0.445, 0.24), hip=(0.2, 0.08), brow=0.875, hat_scale=0.82,
        neck=0.125, dip=0.21,
    ),
    "star": Build(
        face=0.545, face_scale=0.92, shoulder=(0.425, 0.53), hip=(0.21, 0.13), brow=0.93, hat_scale=0.8,
        neck=0.215, dip=0.29,
    ),
    "drop": Build(
        face=0.52, face_scale=0.98, shoulder=(0.42, 0.43), hip=(0.16, 0.1), brow=0.905, hat_scale=0.82,
        neck=0.155, dip=0.27,
    ),
    "bean": Build(
        face=0.70, face_scale=0.96, shoulder=(0.365, 0.46), hip=(0.16, 0.1), brow=1.0, hat_scale=0.86,
        neck=0.30, dip=0.31,
    ),
}  # fmt: skip


class Body:
    """The outline and measures of a body, for weights of `SHAPES` that sum to 1."""

    def __init__(self, weights: Vector) -> None:
        outlines = _outlines()
        self.points: Floats = np.tensordot(np.asarray(weights), outlines, axes=1)
        """The outline (SAMPLES, 2), counter-clockwise from the lowest point."""
        self.path = _spline(self.points)
        self.build = _mixed_build([_BUILDS[shape] for shape in SHAPES], weights)
        self.height = float(self.points[:, 1].max())

    def half_width(self, y: float) -> float:
        """Half the body's width at height y; 0 above and below the body."""
        right = self.points[: SAMPLES // 2 + 1]
        return float(np.interp(y, right[:, 1], right[:, 0], left=0.0, right=0.0))

    @lru_cache(maxsize=64)  # noqa: B019 - bodies are few and themselves cached
    def below(self, height: float, wave: float, turn: float) -> skia.Path:
        """The part of the body under a wavy line at `height`; `turn` shifts the wave sideways."""
        return skia.Op(self.path, _below_wave(height, wave, turn), skia.PathOp.kIntersect_PathOp)

    @lru_cache(maxsize=64)  # noqa: B019
    def band(self, height: float, thickness: float, wave: float, turn: float) -> skia.Path:
        """The part of the body within a wavy band whose upper edge is at `height`."""
        upper = _below_wave(height, wave, turn)
        ring = skia.Op(upper, _below_wave(height - thickness, wave, turn), skia.PathOp.kDifference_PathOp)
        return skia.Op(self.path, ring, skia.PathOp.kIntersect_PathOp)

    @lru_cache(maxsize=4)  # noqa: B019
    def within(self, corners: tuple[Pair, ...]) -> skia.Path:
        """The part of the body inside a polygon."""
        polygon = skia.Path()
        polygon.addPoly([skia.Point(*corner) for corner in corners], True)
        return skia.Op(self.path, polygon, skia.PathOp.kIntersect_PathOp)

    def crescent(self, dx: float, dy: float) -> skia.Path:
        """The part of the body outside a copy moved by (dx, dy)."""
        moved = skia.Path(self.path)
        moved.offset(dx, dy)
        return skia.Op(self.path, moved, skia.PathOp.kDifference_PathOp)


def body_of(weights: Vector) -> Body:
    """The cached body for weights of `SHAPES`; the weights are rounded to steps that are not visible."""
    steps = [round(96 * w) for w in weights]
    total = sum(steps)
    return _body(tuple(s / total for s in steps))


@lru_cache(maxsize=96)
def _body(weights: Vector) -> Body:
    return Body(weights)


def _mixed_build(builds: Sequence[Build], weights: Vector) -> Build:
    def mean(pick: Callable[[Build], float]) -> float:
        return sum(w * pick(b) for w, b in zip(weights, builds, strict=True))

    return Build(
        face=mean(lambda b: b.face),
        face_scale=mean(lambda b: b.face_scale),
        shoulder=(mean(lambda b: b.shoulder[0]), mean(lambda b: b.shoulder[1])),
        hip=(mean(lambda b: b.hip[0]), mean(lambda b: b.hip[1])),
        brow=mean(lambda b: b.brow),
        hat_scale=mean(lambda b: b.hat_scale),
        neck=mean(lambda b: b.neck),
        dip=mean(lambda b: b.dip),
    )


def _below_wave(height: float, wave: float, turn: float) -> skia.Path:
    xs = np.linspace(-0.8, 0.8, 33)
    ys = (
        height
        + wave * np.sin(2 * np.pi * (1.05 * xs + turn))
        + 0.35 * wave * np.sin(2 * np.pi * (2.3 * xs + turn))
    )
    path = skia.Path()
    path.moveTo(-0.8, -0.3)
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        path.lineTo(x, y)
    path.lineTo(0.8, -0.3)
    path.close()
    return path


def _spline(points: Floats) -> skia.Path:
    """A closed quadratic B-spline."""
    middles = ((points + np.roll(points, -1, axis=0)) / 2).tolist()
    path = skia.Path()
    path.moveTo(*middles[-1])
    for (cx, cy), (x, y) in zip(points.tolist(), middles, strict=True):
        path.quadTo(cx, cy, x, y)
    path.close()
    return path


@lru_cache(maxsize=1)
def _outlines() -> Floats:
    """The outlines (len(SHAPES), SAMPLES, 2) of all shapes."""
    drawn = {
        "round": _round(),
        "square": _rounded([(-0.475, 0.0), (0.475, 0.0), (0.475, 0.97), (-0.475, 0.97)], 0.055),
        "triangle": _rounded([(-0.62, 0.0), (0.62, 0.0), (0.0, 1.12)], 0.05),
        "star": _star(),
        "drop": _drop(),
        "bean": _bean(),
    }
    return np.stack([_normalised_outline(drawn[shape]) for shape in SHAPES])


def _normalised_outline(points: Floats) -> Floats:
    """An outline with evenly spaced points, counter-clockwise from the lowest one, made mirror-symmetric."""
    points = points - [0.0, points[:, 1].min()]
    start = int(np.argmin(np.abs(points[:, 0]) + 10 * (points[:, 1] > points[:, 1].mean())))
    even = _resampled(np.roll(points, -start, axis=0), SAMPLES)
    mirrored = np.roll(even[::-1] * [-1.0, 1.0], 1, axis=0)
    return (even + mirrored) / 2


def _resampled(points: Floats, count: int) -> Floats:
    closed = np.vstack([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0.0, along[-1], count, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, i]) for i in (0, 1)], axis=1)


def _rounded(corners: list[Pair], radius: float) -> Floats:
    """A polygon with rounded corners: smoothed along its length with a Gaussian of `radius`."""
    points = _resampled(np.asarray(corners, dtype=np.float64), _DENSE_SAMPLES)
    length = float(np.hypot(*np.diff(np.vstack([points, points[:1]]), axis=0).T).sum())
    frequency = np.fft.fftfreq(_DENSE_SAMPLES, length / _DENSE_SAMPLES)[:, None]
    gaussian = np.exp(-2.0 * (np.pi * frequency * radius) ** 2)
    smooth: Floats = np.fft.ifft(np.fft.fft(points, axis=0) * gaussian, axis=0).real
    return smooth


def _round() -> Floats:
    angle = np.linspace(-np.pi / 2, 1.5 * np.pi, _DENSE_SAMPLES, endpoint=False)
    return np.stack([0.5 * np.cos(angle), 0.5 + 0.5 * np.sin(angle)], axis=1)


def _star() -> Floats:
    corners = []
    for i in range(10):
        angle = -np.pi / 2 + np.pi * i / 5
        reach = 0.41 if i % 2 == 0 else 0.69
        corners.append((reach * np.cos(angle), reach * np.sin(angle)))
    return _rounded(corners, 0.058) * [0.97, 0.93]


def _drop() -> Floats:
    angle = np.linspace(0.0, 2 * np.pi, _DENSE_SAMPLES, endpoint=False)
    x = np.sin(angle) * np.abs(np.cos(angle / 2)) ** 2.0
    x *= 0.49 / x.max()
    y = -0.585 * np.cos(angle)
    return _rounded(np.stack([x, y], axis=1).tolist(), 0.03)


def _bean() -> Floats:
    angle = np.linspace(-np.pi / 2, 1.5 * np.pi, _DENSE_SAMPLES, endpoint=False)
    power = 2 / 2.7
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    width = 0.425 - 0.045 * y - 0.034 * np.exp(-(((y - 0.12) / 0.42) ** 2))
    return np.stack([width * x, 0.54 * y], axis=1)
