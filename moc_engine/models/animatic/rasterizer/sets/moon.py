"""The moon set: violet dust, craters, a ringed planet and a rocket."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import (
    box,
    edge_placement,
    ellipse,
    hashed,
    polygon,
    ridge,
    waves,
)
from moc_engine.models.animatic.rasterizer.palette import lighter, mix, shade
from moc_engine.models.animatic.rasterizer.scenery import lay_ground, rock
from moc_engine.models.animatic.rasterizer.sky import paint_stars, twinkle

EDGE = HORIZON + 6.0


def _sky(brush: Brush) -> None:
    palette, bounds = brush.palette, brush.bounds
    everything = skia.Path()
    everything.addRect(bounds.rect)
    brush.blend(
        everything,
        (0.0, min(0.0, bounds.top) * 0.7),
        (0.0, EDGE),
        ((0.0, palette.sky_top, 1.0), (1.0, palette.sky_low, 1.0)),
    )
    for k in range(5):
        y = 60.0 + 92.0 * k
        band = skia.Path()
        xs = np.arange(bounds.left - 20, bounds.right + 40, 20.0)
        for i, x in enumerate(xs):
            (band.lineTo if i else band.moveTo)(
                float(x),
                y + waves(float(x), (26.0, 720.0, 0.23 * k + 0.3 * brush.layout[4]), (9.0, 260.0, 0.4 * k)),
            )
        for x in xs[::-1]:
            band.lineTo(
                float(x),
                y
                + 42.0
                + waves(
                    float(x), (22.0, 640.0, 0.23 * k + 0.35 + 0.3 * brush.layout[4]), (8.0, 300.0, 0.3 * k)
                ),
            )
        band.close()
        brush.fill(band, mix(palette.sky_low, lighter(palette.sky_low, 1.5), 0.5), 0.16)
    paint_stars(brush, lowest=EDGE, amount=0.95)


def _planets(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    x, y = -330.0 * float(np.tanh(2.0 * layout[0])) + 70.0 * layout[1], 178.0 + 34.0 * layout[3]
    _planet(brush, x, y, 84.0 + 30.0 * layout[2], -17.0 + 14.0 * layout[4])
    small = palette.graded((0.86, 0.055, 215))
    sx, sy, size = (
        x - float(np.copysign(430.0, x)) + 50.0 * layout[3],
        96.0 + 40.0 * layout[1],
        25.0 + 9.0 * layout[4],
    )
    face = ellipse(sx, sy, size, size)
    brush.fill(face, small)
    with brush.clipped(face):
        brush.fill(
            skia.Op(
                face, ellipse(sx - size * 0.35, sy - size * 0.15, size, size), skia.PathOp.kDifference_PathOp
            ),
            shade(small),
        )
        brush.fill(ellipse(sx - size * 0.25, sy + size * 0.2, size * 0.2, size * 0.2), shade(small, 0.6))


def _planet(brush: Brush, x: float, y: float, size: float, tilt: float) -> None:
    palette = brush.palette
    body = palette("accent")
    ring = mix(lighter(body, 1.6), palette("pale"), 0.45)
    with brush.placed(x, y, 1.0, tilt):
        _ring(brush, size, ring, behind=True)
        face = ellipse(0, 0, size, size)
        brush.fill(face, body)
        with brush.clipped(face):
            for k, (place, tall) in enumerate(((-0.62, 0.16), (-0.22, 0.22), (0.26, 0.15), (0.60, 0.24))):
                band = skia.Path()
                band.moveTo(-size, place * size)
                for i in range(21):
                    px = -size + size * 0.1 * i
                    band.lineTo(px, place * size + 0.045 * size * float(np.sin(px / size * 6 + 2 * k)))
                for i in range(20, -1, -1):
                    px = -size + size * 0.1 * i
                    band.lineTo(px, (place + tall) * size + 0.045 * size * float(np.sin(px / size * 7 + k)))
                band.close()
                brush.fill(band, shade(body, 0.7) if k % 2 else lighter(body, 1.2), 0.8)
            night = skia.Op(
                face, ellipse(-size * 0.24, -size * 0.16, size, size), skia.PathOp.kDifference_PathOp
            )
            brush.fill(night, shade(body, 1.4), 0.6)
            brush.grain(face, shade(body, 1.5), (-size * 0.3, -size * 0.3), (size, size * 0.8), 0.6)
        _ring(brush, size, ring, behind=False)


def _ring(brush: Brush, size: float, colour: tuple[float, float, float], *, behind: bool) -> None:
    brush.canvas.save()
    brush.canvas.clipRect(
        skia.Rect.MakeLTRB(-3 * size, -3 * size, 3 * size, 0)
        if behind
        else skia.Rect.MakeLTRB(-3 * size, 0, 3 * size, 3 * size)
    )
    brush.stroke(ellipse(0, 0, size * 1.72, size * 0.40), colour, size * 0.085)
    brush.stroke(ellipse(0, 0, size * 1.48, size * 0.31), colour, size * 0.035, 0.8)
    brush.canvas.restore()


def _ridges(depth: int) -> Callable[[Brush], None]:
    def paint(brush: Brush) -> None:
        palette, layout, bounds = brush.palette, brush.layout, brush.bounds
        base = EDGE - 62.0 + 34.0 * depth
        colour = palette("far" if depth == 0 else "mid", haze=0.22 - 0.14 * depth)
        hills = ridge(
            bounds.left,
            bounds.right,
            700.0,
            lambda x: (
                base
                - abs(
                    waves(
                        x,
                        (34.0 + 22.0 * layout[1], 620.0 - 180.0 * depth, 0.4 * layout[3] + 0.3 * depth),
                        (16.0, 233.0, 0.2),
                    )
                )
                + waves(x, (6.0, 150.0, 0.1))
            ),
            10.0,
        )
        brush.fill(hills, colour)
        brush.grain(hills, lighter(colour, 1.3), (0.0, base + 40.0), (0.0, base - 50.0), 0.45)

    return paint


def _ground(brush: Brush) -> None:
    palette, layout, bounds = brush.palette, brush.layout, brush.bounds
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)

    def crest(x: float) -> float:
        return EDGE + waves(x, (8.0, 890.0, 0.3 * layout[4]), (3.0, 270.0, 0.3))

    ground, low, pit = palette("ground"), palette("ground_low"), palette("crater")
    dust = ridge(left, right, bottom, crest)
    lay_ground(brush, dust, EDGE, ground, low)
    shift = 120.0 * layout[3]
    for i in range(int((left - shift) // 170) - 1, int((right - shift) // 170) + 2):
        x, y = (i + 0.7 * hashed(i, 181)) * 170.0 + shift, EDGE + 18.0 + 175.0 * hashed(i, 182)
        wide = (24.0 + 48.0 * hashed(i, 183)) * (0.55 + (y - EDGE) / 200.0)
        hole = ellipse(x, y, wide, wide * 0.21)
        brush.fill(ellipse(x, y + wide * 0.06, wide * 1.1, wide * 0.25), lighter(ground, 1.2), 0.8)
        brush.fill(hole, pit)
        with brush.clipped(hole):
            brush.fill(ellipse(x + wide * 0.06, y + wide * 0.09, wide, wide * 0.2), lighter(pit, 0.9))
            brush.grain(hole, shade(pit, 1.2), (x + wide * 0.4, y), (x - wide, y - wide * 0.1), 0.8)


def _rocket(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    hull, fin = palette("pale"), palette("accent_2")
    side, near = edge_placement(layout[0])
    x, size = 410.0 * side + 40.0 * layout[2], near * (1.0 + 0.18 * layout[1])
    with brush.placed(x, EDGE + 10.0 + 32.0 * near, size, 3.0 * layout[3]):
        brush.fill(ellipse(16, 2, 92, 12), shade(palette("ground_low"), 1.2), 0.5)
        for mirrored in (False, True):
            with brush.placed(0, 0, mirrored=mirrored):
                side = skia.Path()
                side.moveTo(44, -100)
                side.quadTo(92, -70, 86, 0)
                side.quadTo(66, -34, 34, -32)
                side.close()
                brush.paper(side, shade(fin, 0.6) if not mirrored else fin, 0.5)
        body = skia.Path()
        body.moveTo(0, -330)
        body.cubicTo(58, -270, 76, -140, 44, -26)
        body.lineTo(-44, -26)
        body.cubicTo(-76, -140, -58, -270, 0, -330)
        body.close()
        brush.fill(body, hull)
        with brush.clipped(body):
            brush.fill(box(-80, -340, 160, 92), fin)
            dark = skia.Path()
            dark.moveTo(14, -340)
            dark.cubicTo(46, -250, 44, -120, 22, -20)
            dark.lineTo(90, -20)
            dark.lineTo(90, -340)
            dark.close()
            brush.fill(dark, shade(palette.graded((0.80, 0.05, 285))), 0.30)
            brush.fill(box(-80, -62, 160, 14), fin)
            brush.grain(body, shade(hull, 1.2), (-40, -280), (70, -40), 0.5)
        brush.fill(ellipse(0, -192, 28, 28), mix(palette("dark"), palette("accent"), 0.25))
        brush.fill(
            ellipse(0, -192, 21, 21),
            palette.lit(palette.graded((0.78, 0.09, 215)), 0.35 + 0.4 * brush.climate.night),
        )
        brush.fill(ellipse(-7, -199, 6, 5), palette("pale"), 0.85)
        brush.paper(polygon(((-6, -84), (6, -84), (8, 6), (-8, 6))), shade(fin, 0.5), 0.5)


def _front(brush: Brush) -> None:
    dark = brush.palette("dark")
    period = 1380.0
    for i in range(
        int(np.floor(brush.bounds.left / period)) - 1, int(np.ceil(brush.bounds.right / period)) + 1
    ):
        x = (i + 0.5) * period
        rock(brush, x, 770.0, 150.0, dark, 3)
        rock(brush, x + 74.0, 775.0, 96.0, shade(dark, 0.5), 5)


DESIGN = SetDesign(
    horizon=EDGE,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=lambda brush, time: twinkle(brush, time, lowest=460.0)),
        Layer(depth=0.12, paint=_planets),
        Layer(depth=0.26, paint=_ridges(0)),
        Layer(depth=0.48, paint=_ridges(1)),
        Layer(depth=1.0, paint=_ground),
        Layer(depth=0.8, paint=_rocket),
        Layer(depth=1.5, paint=_front),
    ),
)
