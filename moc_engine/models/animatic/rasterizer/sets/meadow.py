"""The meadow set: hills, a house or a windmill, a fence, trees and flowers."""

from __future__ import annotations

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.foliage import (
    corner_leaves,
    meadow_flower,
    silhouette_tree,
    tree,
    tuft,
)
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import (
    box,
    edge_placement,
    ellipse,
    hashed,
    hills,
    polygon,
    ridge,
    waves,
)
from moc_engine.models.animatic.rasterizer.palette import lighter, mix, shade
from moc_engine.models.animatic.rasterizer.scenery import floating_specks, lay_ground
from moc_engine.models.animatic.rasterizer.sky import (
    CLOUDS,
    birds,
    paint_disc,
    paint_sky,
    paint_stars,
    twinkle,
)


def _sky(brush: Brush) -> None:
    paint_sky(brush)
    paint_stars(brush)
    paint_disc(brush, -330.0 * brush.layout[5] + 60.0, 138.0)


def _animate_sky(brush: Brush, time: float) -> None:
    twinkle(brush, time)
    birds(brush, time, 150.0 - 260.0 * brush.layout[3], 210.0)


def _far_hills(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    for base, rise, length, turn, haze in ((428.0, 26.0, 900.0, 0.1, 0.34), (452.0, 22.0, 640.0, 0.55, 0.12)):
        swell = (rise * (1 + 0.4 * layout[4]), length, turn + 0.5 * layout[3])
        hill = hills(bounds.left, bounds.right, 660.0, base, swell, (rise * 0.3, length * 0.37, turn))
        colour = palette("far", haze=haze)
        brush.fill(hill, colour)
        brush.grain(hill, lighter(colour), (0.0, base + 60.0), (0.0, base - 20.0), 0.4)
        with brush.clipped(hill):
            for i in range(int(bounds.left // 260) - 1, int(bounds.right // 260) + 2):
                x = (i + 0.5 * hashed(i, base, 3)) * 260.0
                furrow = polygon(
                    (
                        (x, base - 50.0),
                        (x + 34.0, base - 50.0),
                        (x - 70.0, base + 90.0),
                        (x - 120.0, base + 90.0),
                    )
                )
                brush.fill(furrow, shade(colour, 0.35), 0.35)


def _mid(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout

    def crest(x: float) -> float:
        return 486.0 + waves(x, (15.0, 760.0, 0.35 * layout[4]), (5.0, 290.0, 0.4))

    hill = ridge(bounds.left, bounds.right, 680.0, crest)
    colour = palette("mid", haze=0.10)
    for i in range(int(bounds.left // 150) - 1, int(bounds.right // 150) + 2):
        if hashed(i, 61) > 0.45:
            x = (i + 0.8 * hashed(i, 62)) * 150.0
            height = 56.0 + 30.0 * hashed(i, 63)
            silhouette_tree(
                brush, x, crest(x) + 4.0, height, height * 0.6, palette("leaf", haze=0.42), hashed(i, 64)
            )
    brush.fill(hill, colour)
    brush.grain(hill, shade(colour, 0.5), (0.0, 500.0), (0.0, 620.0), 0.5)
    brush.grain(hill, lighter(colour, 1.2), (0.0, 530.0), (0.0, 470.0), 0.5)


def _house_x(brush: Brush) -> float:
    return 425.0 * edge_placement(brush.layout[0])[0]


def _mill_x(brush: Brush) -> float:
    return -410.0 * edge_placement(brush.layout[0])[0] + 80.0 * brush.layout[2]


def _buildings(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    wall, roof = palette("wall"), palette("accent")
    with brush.placed(
        _house_x(brush), HORIZON - 6.0, edge_placement(layout[0])[1] * (0.96 + 0.18 * layout[1])
    ):
        brush.paper(box(-62, -72, 124, 74), wall, 0.4)
        brush.fill(polygon(((38, -72), (62, -72), (62, 2), (38, 2))), shade(wall, 0.6))
        top = polygon(((-78, -68), (-44, -124), (44, -124), (78, -68)))
        brush.paper(top, roof, 0.6)
        brush.fill(box(26, -142, 17, 34), shade(wall))
        glass = palette.lit(palette("sky_top"))
        for x in (-44.0, -10.0):
            brush.fill(box(x - 3, -53, 26, 28, 2), palette("pale"))
            brush.fill(box(x, -50, 20, 22, 1), glass)
            brush.line(palette("pale"), 2.2, (x + 10, -50), (x + 10, -28))
        brush.fill(box(27, -44, 24, 46, 3), palette("trunk"))
        if brush.climate.night + brush.climate.sunset > 0.2:
            brush.halo(
                -14, -38, 90, palette.lit(glass), 0.30 * (brush.climate.night + 0.5 * brush.climate.sunset)
            )
    with brush.placed(_mill_x(brush), HORIZON - 4.0, 0.95 + 0.2 * layout[2]):
        tower = polygon(((-34, 2), (-22, -128), (22, -128), (34, 2)))
        brush.paper(tower, wall, 0.5)
        brush.fill(polygon(((9, -128), (22, -128), (34, 2), (14, 2))), shade(wall, 0.6), 0.7)
        cap = skia.Path()
        cap.moveTo(-27, -124)
        cap.quadTo(0, -186, 27, -124)
        cap.close()
        brush.paper(cap, roof, 0.6)
        brush.fill(box(-9, -34, 18, 36, 8), palette("trunk"))
        brush.fill(ellipse(0, -92, 8, 9), palette.lit(palette("sky_top")))


def _animate_mill(brush: Brush, time: float) -> None:
    palette = brush.palette
    turn = time * (14.0 + 60.0 * brush.climate.wind) + 20.0
    with brush.placed(
        _mill_x(brush),
        HORIZON - 4.0 - 134.0 * (0.95 + 0.2 * brush.layout[2]),
        0.95 + 0.2 * brush.layout[2],
        turn,
    ):
        for _ in range(4):
            brush.canvas.rotate(90)
            brush.line(palette("trunk"), 4.0, (0, 0), (0, -92))
            brush.fill(box(2, -92, 17, 66, 2), palette("pale"), 0.95)
            brush.line(palette("trunk"), 1.4, (10, -91), (10, -27), alpha=0.5)
        brush.fill(ellipse(0, 0, 7, 7), palette("trunk"))


def _ground(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)

    def edge(x: float) -> float:
        return HORIZON + waves(x, (7.0, 1100.0, 0.3 * layout[4]), (3.0, 370.0, 0.1))

    ground, low = palette("ground"), palette("ground_low")
    field = ridge(left, right, bottom, edge)
    lay_ground(brush, field, HORIZON, ground, low)
    _fence(brush)
    blade = mix(low, palette("leaf_low"), 0.55)
    for i in range(int(left // 74) - 1, int(right // 74) + 2):
        x, y = (i + hashed(i, 71)) * 74.0, HORIZON + 24.0 + 176.0 * hashed(i, 72) ** 0.9
        near = (y - HORIZON) / 190.0
        if hashed(i, 73) < 0.52:
            tuft(brush, x, y, 12.0 + 16.0 * near, blade)
        else:
            petals = (
                palette("accent"),
                palette("accent_2"),
                palette("pale"),
                palette.graded((0.86, 0.13, 88)),
            )
            petal = petals[int(hashed(i, 74) * 4)]
            heart = (
                palette.graded((0.80, 0.14, 80))
                if petal is not petals[3]
                else palette.graded((0.62, 0.12, 50))
            )
            for k in range(1 + int(hashed(i, 75) * 3)):
                meadow_flower(brush, x + 24.0 * k, y - 12.0 * (k % 2), 5.5 + 5.0 * near, petal, heart)


def _trees(brush: Brush) -> None:
    layout = brush.layout
    side = float(np.tanh(2.2 * layout[3]))
    spots = (
        (-470.0 - 60.0 * side, 250.0 + 40.0 * layout[1], 152.0, 0.5 - layout[2]),
        (480.0 - 60.0 * side, 225.0 - 40.0 * layout[1], 126.0, 0.5 + layout[2]),
        (620.0 - 90.0 * layout[4], 180.0, 104.0, 0.5 - layout[2]),
        (-640.0 + 70.0 * layout[4], 190.0, 100.0, 0.5 + layout[2]),
    )
    for shift in (-1900.0, 0.0, 1900.0):
        for x, height, width, pointed in spots:
            x += shift
            if brush.bounds.left - width < x < brush.bounds.right + width:
                tree(brush, x, HORIZON + 14.0, height, width, pointed=pointed, bare=0.24)


def _fence(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    pale = palette("pale")
    side = -1.0 if layout[3] < 0 else 1.0
    start, length = side * 300.0 + 130.0 * layout[2], 5 + int(2.5 + 2.5 * layout[1])
    for shift in (-1700.0, 0.0, 1700.0):
        for i in range(length):
            x = start + shift + side * 64.0 * i
            for y in (HORIZON + 2.0, HORIZON + 22.0):
                brush.fill(box(min(x, x + side * 64), y, 66, 8, 2), shade(pale, 0.25))
        for i in range(length + 1):
            x = start + shift + side * 64.0 * i
            post = polygon(
                (
                    (x - 7, HORIZON + 46),
                    (x - 7, HORIZON - 12),
                    (x, HORIZON - 20),
                    (x + 7, HORIZON - 12),
                    (x + 7, HORIZON + 46),
                )
            )
            brush.paper(post, pale, 0.35)


DESIGN = SetDesign(
    horizon=HORIZON,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=_animate_sky),
        CLOUDS,
        Layer(depth=0.22, paint=_far_hills),
        Layer(depth=0.4, paint=_mid),
        Layer(depth=0.65, paint=_buildings, animate=_animate_mill),
        Layer(depth=0.76, paint=_trees),
        Layer(depth=1.0, paint=_ground, animate=floating_specks),
        Layer(depth=1.5, animate=corner_leaves),
    ),
)
