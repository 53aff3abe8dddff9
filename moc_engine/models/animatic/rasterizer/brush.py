"""Paints the layers of a set in a paper-cut style: flat shapes, stippled shade and soft light.

A brush works in stage pixels: a wide 16:9 shot has 1280 × 720 of them, x = 0 is the middle of the
stage and y points down from 0 to 720.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import skia

from moc_engine.models.animatic.rasterizer.outlines import Point
from moc_engine.models.animatic.rasterizer.palette import Lab, Palette, argb, shade

HORIZON: Final = 530.0

_GRAIN_SOURCE: Final = """
uniform float4 tone; uniform float2 from; uniform float2 to; uniform float density; uniform float cell;
half4 main(float2 p) {
  float2 d = to - from;
  float g = clamp(dot(p - from, d) / dot(d, d), 0, 1);
  float2 q = floor(p / cell) + 4096.0;
  float3 r = fract(float3(q.xyx) * 0.1031);
  r += dot(r, r.yzx + 33.33);
  float n = fract((r.x + r.y) * r.z);
  return half4(tone * clamp((g * g * density - n) * 6.0 + 0.5, 0.0, 1.0));
}
"""


@lru_cache(maxsize=1)
def _grain_effect() -> skia.RuntimeEffect:
    return skia.RuntimeEffect.MakeForShader(_GRAIN_SOURCE)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The rectangle that a layer covers, in stage pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def rect(self) -> skia.Rect:
        return skia.Rect.MakeLTRB(self.left, self.top, self.right, self.bottom)


class Brush:
    """A canvas with a palette; `layout` has the set's six numbers, `fineness` is pixels per stage pixel."""

    def __init__(
        self,
        canvas: skia.Canvas,
        palette: Palette,
        *,
        bounds: Bounds,
        layout: Sequence[float],
        fineness: float,
    ) -> None:
        self.canvas = canvas
        self.palette = palette
        self.climate = palette.climate
        self.bounds = bounds
        self.layout = tuple(layout)
        self._cell = max(1.35 * fineness**-0.65, 1.05 / fineness)

    def fill(self, path: skia.Path, colour: Lab, alpha: float = 1.0) -> None:
        self.canvas.drawPath(path, skia.Paint(Color=argb(colour, alpha), AntiAlias=True))

    def stroke(
        self, path: skia.Path, colour: Lab, width: float, alpha: float = 1.0, *, round_ends: bool = True
    ) -> None:
        paint = skia.Paint(
            Color=argb(colour, alpha), AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=width
        )
        if round_ends:
            paint.setStrokeCap(skia.Paint.kRound_Cap)
            paint.setStrokeJoin(skia.Paint.kRound_Join)
        self.canvas.drawPath(path, paint)

    def line(self, colour: Lab, width: float, *points: Point, alpha: float = 1.0) -> None:
        path = skia.Path()
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        self.stroke(path, colour, width, alpha)

    def blend(
        self, path: skia.Path, start: Point, end: Point, stops: Sequence[tuple[float, Lab, float]]
    ) -> None:
        """Fills with a linear gradient from start to end; stops are (position 0–1, colour, alpha)."""
        shader = skia.GradientShader.MakeLinear(
            [skia.Point(*start), skia.Point(*end)],
            [argb(colour, alpha) for _, colour, alpha in stops],
            [place for place, _, _ in stops],
        )
        self.canvas.drawPath(path, skia.Paint(Shader=shader, AntiAlias=True, Dither=True))

    def grain(
        self, path: skia.Path, colour: Lab, start: Point, end: Point, density: float = 0.6, alpha: float = 1.0
    ) -> None:
        """Stipples `colour` over the path; the density rises from 0 at `start` to `density` at `end`."""
        alpha *= 0.88
        density *= 0.85
        red, green, blue = ((argb(colour) >> shift & 255) / 255 * alpha for shift in (16, 8, 0))
        builder = skia.RuntimeShaderBuilder(_grain_effect())
        builder.setUniform("tone", [red, green, blue, alpha])
        builder.setUniform("from", list(start))
        builder.setUniform("to", list(end))
        builder.setUniform("density", density)
        builder.setUniform("cell", self._cell)
        self.canvas.drawPath(path, skia.Paint(Shader=builder.makeShader(), AntiAlias=True))

    def paper(
        self, path: skia.Path, colour: Lab, density: float = 0.45, *, shadow: Lab | None = None
    ) -> None:
        """Fills a path and stipples a shade toward its bottom right, as if lit from the top left."""
        self.fill(path, colour)
        box = path.getBounds()
        middle = (box.left() + 0.35 * box.width(), box.top() + 0.30 * box.height())
        end = (box.right(), box.bottom())
        self.grain(path, shadow or shade(colour), middle, end, density)

    def halo(self, x: float, y: float, radius: float, colour: Lab, alpha: float) -> None:
        """Draws a soft round light that fades out at `radius`."""
        shader = skia.GradientShader.MakeRadial(
            skia.Point(x, y), radius, [argb(colour, a) for a in (alpha, 0.42 * alpha, 0.0)], [0.0, 0.45, 1.0]
        )
        self.canvas.drawCircle(x, y, radius, skia.Paint(Shader=shader, AntiAlias=True, Dither=True))

    @contextmanager
    def clipped(self, path: skia.Path) -> Iterator[None]:
        self.canvas.save()
        self.canvas.clipPath(path, doAntiAlias=True)
        yield
        self.canvas.restore()

    @contextmanager
    def placed(
        self, x: float, y: float, scale: float = 1.0, degrees: float = 0.0, *, mirrored: bool = False
    ) -> Iterator[None]:
        """A context in which the origin of the canvas is at (x, y)."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.rotate(degrees)
        self.canvas.scale(-scale if mirrored else scale, scale)
        yield
        self.canvas.restore()
