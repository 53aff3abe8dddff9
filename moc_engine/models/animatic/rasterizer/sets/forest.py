"""The forest set: rows of trees in green mist and shafts of light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.foliage import corner_leaves, silhouette_tree, tree, tuft
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import blade, ellipse, hashed, polygon, ridge, waves
from moc_engine.models.animatic.rasterizer.palette import lighter, mix
from moc_engine.models.animatic.rasterizer.scenery import floating_specks, lay_ground, lay_mist
from moc_engine.models.animatic.rasterizer.sky import paint_disc, paint_sky, paint_stars, twinkle

EDGE = HORIZON - 22.0


def _sky(brush: Brush) -> None:
    paint_sky(brush)
    paint_stars(brush, lowest=330.0)
    if brush.climate.night + brush.climate.sunset > 0.3:
        paint_disc(brush, 260.0 * brush.layout[5], 120.0)


def _grove(row: int) -> Callable[[Brush], None]:
    """The painter of a row of flat trees in mist; row 0 is the farther one."""
    haze, spacing, height = ((0.30, 122.0, 560.0), (0.04, 186.0, 540.0))[row]

    def paint(brush: Brush) -> None:
        bounds, layout = brush.bounds, brush.layout
        colour = brush.palette("mid" if row else "far", haze=haze)
        shift = 120.0 * layout[3 * row]
        for i in range(int((bounds.left - shift) // spacing) - 1, int((bounds.right - shift) // spacing) + 2):
            x = (i + 0.62 * hashed(i, row, 101)) * spacing + shift
            tall = height * (0.80 + 0.44 * hashed(i, row, 102)) * (1.0 + 0.10 * layout[1])
            wide = tall * (0.33 + 0.11 * hashed(i, row, 103))
            own = mix(colour, lighter(colour), 0.8 * hashed(i, row, 104))
            pointed = hashed(i, row, 105) + 0.5 * layout[2]
            silhouette_tree(brush, x, HORIZON + 30.0, tall, wide, own, pointed)
        lay_mist(brush, 300.0, EDGE, brush.palette.sky_low, 0.62 - 0.22 * row)

    return paint


def _lit_grove(brush: Brush) -> None:
    _grove(1)(brush)
    _shafts(brush)


def _shafts(brush: Brush) -> None:
    climate = brush.climate
    strength = (0.46 * climate.day + 0.30 * climate.sunset + 0.10 * climate.night) * (
        1.0 - 0.65 * climate.rain
    )
    light = brush.palette.lit(lighter(brush.palette.sky_low), 0.25 * climate.sunset)
    shift = 160.0 * brush.layout[4]
    for i in range(int((brush.bounds.left - shift) // 300) - 2, int((brush.bounds.right - shift) // 300) + 3):
        x = (i + 0.4 * hashed(i, 111)) * 300.0 + shift
        wide = 44.0 + 70.0 * hashed(i, 112)
        shaft = polygon(
            (
                (x + 190, brush.bounds.top),
                (x + 190 + wide, brush.bounds.top),
                (x - 60 + 1.5 * wide, 566.0),
                (x - 60 - 0.3 * wide, 566.0),
            )
        )
        brush.blend(
            shaft,
            (0.0, 0.0),
            (0.0, 560.0),
            ((0.0, light, strength), (0.6, light, strength * 0.6), (1.0, light, 0.0)),
        )


def _near(brush: Brush) -> None:
    """Paints the large trees; those nearer to the middle are smaller."""
    layout = brush.layout
    side = float(np.tanh(2.0 * layout[0]))
    spots = (
        (-410.0 - 70.0 * side, 534.0, 650.0, 286.0, 0.75),
        (425.0 - 70.0 * side, 530.0, 610.0, 270.0, 0.75),
        (205.0 + 250.0 * layout[3], 508.0, 450.0, 170.0, 0.5 + layout[2]),
        (-700.0 + 60.0 * layout[3], 540.0, 640.0, 270.0, 0.75),
        (720.0 + 60.0 * layout[3], 540.0, 600.0, 260.0, 0.3 + layout[2]),
    )
    for shift in (-1900.0, 0.0, 1900.0):
        for x, y, height, width, pointed in sorted(spots, key=lambda s: s[1]):
            x += shift
            if brush.bounds.left - width < x < brush.bounds.right + width:
                size = 1.0 + 0.12 * layout[1]
                tree(
                    brush,
                    x,
                    y + 12.0,
                    height * size,
                    width * size,
                    pointed=pointed,
                    bare=0.30,
                    haze=0.10 if y < 515 else 0.0,
                )


def _ground(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)

    def crest(x: float) -> float:
        return EDGE + waves(x, (9.0, 930.0, 0.35 * layout[4]), (3.0, 310.0, 0.2))

    ground, low = palette("ground"), palette("ground_low")
    floor = ridge(left, right, bottom, crest)
    lay_ground(brush, floor, EDGE, ground, low)
    with brush.clipped(floor):
        x = 190.0 * layout[3]
        path = skia.Path()
        path.moveTo(x + 40.0, EDGE + 8.0)
        path.cubicTo(x + 120.0, EDGE + 50.0, x - 190.0, EDGE + 90.0, x - 250.0, 740.0)
        path.lineTo(x - 250.0 - 0.3 * (bottom - 740.0), bottom)
        path.lineTo(x + 300.0 + 0.3 * (bottom - 740.0), bottom)
        path.lineTo(x + 300.0, 740.0)
        path.cubicTo(x + 230.0, EDGE + 100.0, x + 130.0, EDGE + 50.0, x + 82.0, EDGE + 6.0)
        path.close()
        trail = palette("path")
        brush.blend(
            path, (0.0, EDGE), (0.0, 730.0), ((0.0, mix(trail, ground, 0.45), 1.0), (1.0, trail, 0.9))
        )
        for i in range(int(left // 330) - 1, int(right // 330) + 2):
            spot = ellipse((i + hashed(i, 121)) * 330.0, EDGE + 60.0 + 120.0 * hashed(i, 122), 120.0, 15.0)
            brush.fill(spot, lighter(ground, 1.2), 0.35)
    grass = mix(low, palette("leaf_low"), 0.55)
    for i in range(int(left // 96) - 1, int(right // 96) + 2):
        px, y = (i + hashed(i, 123)) * 96.0, EDGE + 30.0 + 170.0 * hashed(i, 124)
        near = (y - EDGE) / 200.0
        kind = hashed(i, 125)
        if kind < 0.62:
            tuft(brush, px, y, 13.0 + 17.0 * near, grass)
        elif kind < 0.80:
            _mushroom(brush, px, y, 9.0 + 9.0 * near)
        else:
            for k in range(5):
                u = k / 2 - 1
                brush.fill(
                    blade(
                        px, y, (26.0 + 22.0 * near) * (1 - 0.2 * abs(u)), 5.0 + 3.0 * near, 0.95 * u, 6.0 * u
                    ),
                    palette("leaf_low") if k % 2 else palette("leaf"),
                )


def _mushroom(brush: Brush, x: float, y: float, size: float) -> None:
    pale, cap = brush.palette("pale"), brush.palette("accent")
    brush.fill(
        polygon(
            ((x - size * 0.2, y - size), (x + size * 0.2, y - size), (x + size * 0.3, y), (x - size * 0.3, y))
        ),
        pale,
    )
    dome = skia.Path()
    dome.moveTo(x - size * 0.85, y - size * 0.75)
    dome.cubicTo(
        x - size * 0.7, y - size * 1.9, x + size * 0.7, y - size * 1.9, x + size * 0.85, y - size * 0.75
    )
    dome.close()
    brush.paper(dome, cap, 0.7)
    for dx, dy, r in ((-0.3, 1.15, 0.15), (0.2, 1.35, 0.12), (0.4, 0.95, 0.10)):
        brush.fill(ellipse(x + dx * size, y - dy * size, r * size, r * size * 0.8), pale)


DESIGN = SetDesign(
    horizon=EDGE,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=twinkle),
        Layer(depth=0.2, paint=_grove(0)),
        Layer(depth=0.38, paint=_lit_grove),
        Layer(depth=0.62, paint=_near),
        Layer(depth=1.0, paint=_ground, animate=floating_specks),
        Layer(depth=1.5, animate=corner_leaves),
    ),
)
