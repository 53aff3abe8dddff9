"""The desert set: mesas with strata, saguaros and dunes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.foliage import cactus
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import (
    Point,
    edge_placement,
    hashed,
    polygon,
    ridge,
    smooth,
    waves,
)
from moc_engine.models.animatic.rasterizer.palette import Lab, lighter, mix, shade
from moc_engine.models.animatic.rasterizer.scenery import lay_ground, rock
from moc_engine.models.animatic.rasterizer.sky import (
    CLOUDS,
    birds,
    paint_disc,
    paint_sky,
    paint_stars,
    twinkle,
)

EDGE = HORIZON - 38.0


def _sky(brush: Brush) -> None:
    paint_sky(brush)
    paint_stars(brush)
    paint_disc(brush, 300.0 * brush.layout[5] - 40.0, 158.0)


def _animate_sky(brush: Brush, time: float) -> None:
    twinkle(brush, time)
    birds(brush, time, -300.0 + 260.0 * brush.layout[2], 190.0)


def mesa(brush: Brush, x: float, base: float, width: float, height: float, colour: Lab, seed: int) -> None:
    """Paints a table mountain with wavy strata and a shaded right side."""
    top = base - height
    points: list[Point] = [
        (x - width * 0.54, base),
        (x - width * 0.42, base - height * 0.45),
        (x - width * 0.37, top + height * 0.12),
        (x - width * 0.33, top + 3.0),
        (x - width * 0.12, top + 6.0 * hashed(seed, 1)),
        (x + width * 0.10, top - 5.0 * hashed(seed, 2)),
        (x + width * 0.31, top + 2.0),
        (x + width * 0.36, top + height * 0.10),
        (x + width * 0.43, base - height * 0.42),
        (x + width * 0.60, base),
    ]
    outline = polygon(points)
    brush.fill(outline, colour)
    with brush.clipped(outline):
        band = shade(colour, 0.42)
        for k, place in enumerate((0.10, 0.30, 0.52, 0.76)):
            y = top + height * place
            strip = skia.Path()
            strip.moveTo(x - width, y)
            for i in range(21):
                px = x - width + width * 0.1 * i
                strip.lineTo(px, y + 3.2 * float(np.sin(px / 34.0 + seed + k)))
            for i in range(20, -1, -1):
                px = x - width + width * 0.1 * i
                strip.lineTo(px, y + height * 0.055 + 3.2 * float(np.sin(px / 29.0 + seed + 2 * k)))
            strip.close()
            brush.fill(strip, band, 0.75)
        edge_placement = polygon(
            (
                (x + width * 0.17, top - 9),
                (x + width * 0.7, top - 9),
                (x + width * 0.7, base),
                (x + width * 0.34, base),
                (x + width * 0.22, base - height * 0.5),
            )
        )
        brush.fill(edge_placement, shade(colour, 0.7), 0.55)
        brush.grain(outline, shade(colour, 1.1), (x - width * 0.3, top), (x + width * 0.45, base), 0.7)
        brush.grain(outline, lighter(colour, 1.4), (x + width * 0.05, base), (x - width * 0.45, top), 0.45)


def _far(brush: Brush) -> None:
    palette, layout, bounds = brush.palette, brush.layout, brush.bounds
    colour = palette("mid_2", haze=0.34)
    for i in range(int(bounds.left // 420) - 1, int(bounds.right // 420) + 2):
        x = (i + 0.3 + 0.5 * hashed(i, 81)) * 420.0 + 170.0 * layout[3]
        mesa(
            brush,
            x,
            EDGE + 12.0,
            230.0 + 120.0 * hashed(i, 82),
            76.0 + 46.0 * hashed(i, 83) + 24.0 * layout[1],
            colour,
            i,
        )
    dune = ridge(
        bounds.left, bounds.right, 680.0, lambda x: EDGE - 12.0 + waves(x, (9.0, 820.0, 0.3 * layout[4]))
    )
    brush.paper(dune, palette("far", haze=0.1), 0.3)


def _mid(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    colour = palette("mid", haze=0.08)
    side = float(np.tanh(2.2 * layout[0]))
    spots = (
        (330.0 * side + 90.0 * layout[2], 350.0 + 90.0 * layout[1], 176.0 + 44.0 * layout[1]),
        (-390.0 * side, 290.0 - 60.0 * layout[3], 120.0 + 40.0 * layout[3]),
    )
    for shift in (-1350.0, 0.0, 1350.0):
        for k, (x, width, height) in enumerate(spots):
            if brush.bounds.left - width < x + shift < brush.bounds.right + width:
                mesa(
                    brush,
                    x + shift - side * width * 0.42,
                    EDGE + 16.0,
                    width * 0.62,
                    height * 0.70,
                    mix(colour, palette("mid_2"), 0.5),
                    k + 7,
                )
                mesa(brush, x + shift, EDGE + 18.0, width, height, colour, k)


def _edge(brush: Brush) -> Callable[[float], float]:
    turn = 0.35 * brush.layout[4]
    return lambda x: EDGE + waves(x, (8.0, 980.0, turn), (3.0, 330.0, 0.3))


def _ground(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)
    edge = _edge(brush)
    ground, low, line = palette("ground"), palette("ground_low"), palette("line")
    sand = ridge(left, right, bottom, edge)
    lay_ground(brush, sand, EDGE, ground, low)
    with brush.clipped(sand):
        for k, y in enumerate(
            (EDGE + 22.0, EDGE + 52.0, EDGE + 92.0, EDGE + 142.0, EDGE + 200.0, EDGE + 270.0)
        ):
            if y > bottom:
                break
            path = skia.Path()
            for i in range(int((right - left) // 24) + 2):
                x = left + 24.0 * i
                py = y + waves(
                    x, (5.0 + 2.0 * k, 520.0 + 70.0 * k, 0.31 * k + 0.4 * layout[4]), (2.5, 190.0, 0.2 * k)
                )
                (path.lineTo if i else path.moveTo)(x, py)
            brush.stroke(path, line, 2.0 + 0.5 * k, 0.45)
    for shift in (-1500.0, 0.0, 1500.0):
        for k in range(4):
            x = shift + (k - 1.5) * 380.0 + 150.0 * layout[(k + 1) % 6]
            rock(brush, x, EDGE + 62.0 + 50.0 * hashed(k, 91), 26.0 + 18.0 * hashed(k, 92), palette("mid"), k)


def _cacti(brush: Brush) -> None:
    layout = brush.layout
    side, near = edge_placement(layout[2])
    for shift in (-1500.0, 0.0, 1500.0):
        tall = near * (205.0 + 50.0 * layout[1])
        cactus(brush, shift - 455.0 * side, EDGE + 30.0 + 58.0 * near, tall, lean=1.0)
        tall = near * (150.0 + 40.0 * layout[3])
        cactus(brush, shift + 470.0 * side + 50.0 * layout[0], EDGE + 30.0 + 32.0 * near, tall, lean=-1.0)
        cactus(brush, shift + 300.0 * layout[4], EDGE + 16.0, 78.0, lean=1.0, bloom=False, haze=0.12)


def _front(brush: Brush) -> None:
    dark = brush.palette("dark")
    period = 1360.0
    for i in range(
        int(np.floor(brush.bounds.left / period)) - 1, int(np.ceil(brush.bounds.right / period)) + 1
    ):
        x = (i + 0.5) * period
        boulder = smooth(
            ((x - 150, 760), (x - 112, 690), (x - 34, 668), (x + 40, 674), (x + 118, 700), (x + 160, 760))
        )
        brush.fill(boulder, dark)
        brush.grain(boulder, lighter(dark, 1.2), (x, 730), (x - 60, 660), 0.5)


DESIGN = SetDesign(
    horizon=EDGE,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=_animate_sky),
        CLOUDS,
        Layer(depth=0.24, paint=_far),
        Layer(depth=0.42, paint=_mid),
        Layer(depth=1.0, paint=_ground),
        Layer(depth=0.8, paint=_cacti),
        Layer(depth=1.5, paint=_front),
    ),
)
