"""The city set: a skyline, houses with windows, shops with awnings and lamps at a street."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.foliage import tree
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import box, ellipse, hashed, polygon
from moc_engine.models.animatic.rasterizer.palette import Lab, lighter, mix, shade
from moc_engine.models.animatic.rasterizer.sky import (
    CLOUDS,
    birds,
    paint_disc,
    paint_sky,
    paint_stars,
    twinkle,
)

PAVEMENT = HORIZON
KERB = 594.0


def _sky(brush: Brush) -> None:
    paint_sky(brush)
    paint_stars(brush, lowest=300.0)
    paint_disc(brush, -320.0 * brush.layout[5] - 30.0, 118.0)


def _animate_sky(brush: Brush, time: float) -> None:
    twinkle(brush, time, lowest=200.0)
    birds(brush, time, 160.0 + 200.0 * brush.layout[3], 150.0)


def _windows(
    brush: Brush,
    x: float,
    y: float,
    width: float,
    height: float,
    seed: int,
    *,
    size: float,
    gap: float,
    glass: Lab,
    lit: float,
) -> None:
    """Paints a grid of windows; the share `lit` of them is lit at night."""
    lamp = brush.palette.lit(glass)
    columns = int((width - gap) // (size + gap))
    rows = int((height - gap) // (size * 1.45 + gap))
    left = x + (width - columns * (size + gap) + gap) / 2
    for c in range(columns):
        for r in range(rows):
            on = hashed(seed, c, r, 201) < lit
            pane = box(left + c * (size + gap), y + gap + r * (size * 1.45 + gap), size, size * 1.45, 1.0)
            brush.fill(pane, lamp if on else glass)


def _house(
    brush: Brush,
    x: float,
    base: float,
    width: float,
    height: float,
    colour: Lab,
    seed: int,
    *,
    size: float,
    lit: float,
) -> None:
    kind = hashed(seed, 202)
    top = base - height
    body = box(x, top, width, height + 40.0)
    brush.paper(body, colour, 0.45)
    brush.fill(box(x + width * 0.82, top, width * 0.18, height + 40.0), shade(colour, 0.45), 0.5)
    if kind < 0.36:
        gable = polygon(((x - 4, top + 1), (x + width / 2, top - width * 0.42), (x + width + 4, top + 1)))
        brush.paper(gable, shade(colour, 0.3), 0.5)
        brush.fill(
            box(x + width / 2 - size / 2, top - width * 0.2, size, size * 1.2, 1),
            brush.palette.lit(brush.palette("glass")),
        )
    elif kind < 0.55:
        brush.fill(box(x + width * 0.16, top - height * 0.06, width * 0.68, height * 0.07), colour)
        brush.fill(
            box(x + width * 0.46, top - height * 0.20, width * 0.05, height * 0.16), shade(colour, 0.6)
        )
    elif kind < 0.72:
        dome = skia.Path()
        dome.moveTo(x + 4, top + 1)
        dome.cubicTo(x + 4, top - width * 0.5, x + width - 4, top - width * 0.5, x + width - 4, top + 1)
        dome.close()
        brush.paper(dome, shade(colour, 0.3), 0.5)
    else:
        brush.fill(box(x - 4, top - 6, width + 8, 9, 2), shade(colour, 0.5))
        brush.fill(box(x + width * 0.2, top - 26, width * 0.16, 22), shade(colour, 0.4))
    glass = mix(colour, brush.palette("glass"), 0.55)
    _windows(
        brush, x, top + 4.0, width, height * 0.86, seed, size=size, gap=size * 0.95, glass=glass, lit=lit
    )


def _row(depth: int) -> Callable[[Brush], None]:
    haze, low, tall, wide, size = ((0.42, 225.0, 215.0, 92.0, 6.5), (0.20, 185.0, 215.0, 122.0, 9.5))[depth]

    def paint(brush: Brush) -> None:
        palette, bounds, layout = brush.palette, brush.bounds, brush.layout
        shift = 140.0 * layout[3 if depth else 1]
        x, i = -2400.0 + shift, 0
        while x < 2400.0 + shift:
            width = wide * (0.75 + 0.6 * hashed(i, depth, 203))
            height = low + tall * hashed(i, depth, 204) * (0.85 + 0.3 * layout[2])
            if bounds.left - 40 < x + width and x < bounds.right + 40:
                tone = palette("far" if depth == 0 else "mid", haze=haze)
                tone = mix(tone, shade(tone, 0.6), 0.7 * hashed(i, depth, 205))
                _house(
                    brush,
                    x,
                    PAVEMENT,
                    width,
                    height,
                    tone,
                    100 * depth + i,
                    size=size,
                    lit=0.46,
                )
            x += width * (0.94 + 0.10 * hashed(i, depth, 206))
            i += 1
        if depth == 0:
            brush.fill(
                box(bounds.left, PAVEMENT - 60, bounds.right - bounds.left, 120),
                palette("far", haze=0.6),
                0.5,
            )

    return paint


def _shops(brush: Brush) -> None:
    """Paints the near row of low houses with shop windows, doors and awnings."""
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    x, i = -2300.0 + 170.0 * layout[0], 0
    roles = ("near", "near_2", "near_3", "near_2", "near", "near_3")
    while x < 2300.0:
        width = 205.0 + 90.0 * hashed(i, 211)
        height = 132.0 + 84.0 * hashed(i, 212) * (1.0 + 0.3 * layout[2])
        if hashed(i, 213) < 0.16:
            x += 120.0  # an alley shows the row behind
        if bounds.left - 40 < x + width and x < bounds.right + 40:
            _shop(brush, x, width, height, palette(roles[i % 6], haze=0.06), i)
        x += width + 4.0
        i += 1
    brush.fill(box(bounds.left, PAVEMENT - 6, bounds.right - bounds.left, 60), shade(palette("ground"), 0.5))


def _shop(brush: Brush, x: float, width: float, height: float, wall: Lab, seed: int) -> None:
    palette = brush.palette
    top = PAVEMENT - height
    body = box(x, top, width, height)
    brush.paper(body, wall, 0.5)
    brush.fill(box(x - 5, top - 9, width + 10, 13, 2), shade(wall, 0.7))
    brush.fill(box(x - 5, top - 9, width + 10, 4, 2), lighter(wall))
    glass = palette("glass")
    upper = height - 128.0
    if upper > 44.0:
        _windows(
            brush, x + 8, top + 6, width - 16, upper, seed + 50, size=24.0, gap=25.0, glass=glass, lit=0.6
        )
    bright = palette.lit(mix(glass, palette("pale"), 0.25))
    left, wide = x + 18.0, width * 0.56
    door = x + width - 66.0
    brush.fill(box(left - 5, PAVEMENT - 92, wide + 10, 86, 2), shade(wall, 1.0))
    brush.fill(box(left, PAVEMENT - 87, wide, 70, 1), bright)
    brush.grain(
        box(left, PAVEMENT - 87, wide, 70),
        shade(bright, 0.7),
        (left, PAVEMENT - 80),
        (left + wide, PAVEMENT - 10),
        0.35,
    )
    brush.fill(
        polygon(
            (
                (left + 8, PAVEMENT - 17),
                (left + 40, PAVEMENT - 87),
                (left + 58, PAVEMENT - 87),
                (left + 26, PAVEMENT - 17),
            )
        ),
        palette("pale"),
        0.22,
    )
    brush.fill(box(door, PAVEMENT - 92, 46, 92, 2), shade(wall, 1.6))
    brush.fill(box(door + 8, PAVEMENT - 84, 30, 34, 1), palette.lit(glass))
    cloth = (palette("accent"), palette("accent_2"), palette("near_2"))[seed % 3]
    stripes = 8
    step = (wide + 24) / stripes
    for k in range(stripes):
        sx = left - 12 + k * step
        tone = cloth if k % 2 == 0 else palette("pale")
        flap = ellipse(sx + step / 2, PAVEMENT - 92, step / 2, 7)
        strip = polygon(
            (
                (sx + 3, PAVEMENT - 122),
                (sx + step + 2, PAVEMENT - 122),
                (sx + step, PAVEMENT - 92),
                (sx, PAVEMENT - 92),
            )
        )
        for piece in (strip, flap):
            brush.fill(piece, tone)
            brush.grain(piece, shade(tone), (left, PAVEMENT - 120), (left + wide, PAVEMENT - 76), 0.45)


def _street(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)
    ground, road = palette("ground"), palette("ground_low")
    walk = box(left, PAVEMENT, right - left, KERB - PAVEMENT + 4)
    brush.paper(walk, ground, 0.0)
    brush.grain(walk, shade(ground, 0.8), (0.0, KERB), (0.0, PAVEMENT - 30), 0.5)
    for i in range(int(left // 118) - 1, int(right // 118) + 2):
        x = 118.0 * i
        brush.line(shade(ground, 0.7), 2.4, (x + 20, PAVEMENT + 2), (x - 18, KERB), alpha=0.7)
    brush.fill(box(left, KERB, right - left, 7), palette("kerb"))
    brush.fill(box(left, KERB + 7, right - left, 7), shade(ground, 1.2))
    lane = box(left, KERB + 13, right - left, bottom - KERB)
    brush.blend(lane, (0.0, KERB), (0.0, 730.0), ((0.0, shade(road, 0.3), 1.0), (1.0, road, 1.0)))
    brush.grain(lane, shade(road, 1.0), (0.0, KERB + 40), (0.0, 770.0), 0.45, 0.85)
    brush.grain(lane, lighter(road, 1.2), (0.0, 700.0), (0.0, KERB), 0.3)
    for i in range(int(left // 190) - 1, int(right // 190) + 2):
        x = 190.0 * i + 60.0 * layout[3]
        dash = polygon(((x + 8, 696), (x + 108, 696), (x + 100, 710), (x - 4, 710)))
        brush.fill(dash, palette("pale"), 0.75)
        brush.grain(dash, road, (x, 696), (x + 120, 712), 0.5)
    if brush.climate.rain > 0.1:
        for i in range(int(left // 210) - 1, int(right // 210) + 2):
            x, y = (i + hashed(i, 221)) * 210.0, KERB + 30.0 + 70.0 * hashed(i, 222)
            brush.fill(
                ellipse(x, y, 70.0 + 40.0 * hashed(i, 223), 9.0),
                mix(palette.sky_low, road, 0.45),
                0.45 * brush.climate.rain,
            )


def _paint_objects(brush: Brush) -> None:
    _tree(brush)
    for x in _lamps(brush):
        _lamp(brush, x)


def _tree(brush: Brush) -> None:
    layout = brush.layout
    for shift in (-1500.0, 0.0, 1500.0):
        x = 210.0 * float(np.tanh(2.2 * layout[2])) + 60.0 * layout[4] + shift
        tree(brush, x, PAVEMENT + 24.0, 235.0 + 40.0 * layout[1], 142.0, pointed=0.5 - layout[1], bare=0.30)
        brush.fill(box(x - 26, PAVEMENT + 20, 52, 8, 3), shade(brush.palette("ground"), 1.0))


def _lamps(brush: Brush) -> tuple[float, ...]:
    spacing = 860.0 + 110.0 * brush.layout[4]
    middle = 120.0 * brush.layout[0]
    return tuple(middle + spacing * (k + 0.5) for k in range(-3, 3))


def _lamp(brush: Brush, x: float) -> None:
    palette, climate = brush.palette, brush.climate
    iron = palette("dark")
    foot, head = PAVEMENT + 56.0, 258.0
    lit = min(1.0, climate.night + 0.55 * climate.sunset + 0.4 * climate.rain * climate.day)
    glow = palette.lit(palette("pale"), 1.0)
    hx = x + 58.0
    if lit > 0.05:
        cone = polygon(
            ((hx - 26, head + 20), (hx + 26, head + 20), (hx + 150, foot + 10), (hx - 170, foot + 10))
        )
        brush.blend(cone, (0.0, head), (0.0, foot), ((0.0, glow, 0.34 * lit), (1.0, glow, 0.07 * lit)))
        brush.fill(ellipse(hx - 10, foot + 14, 196, 32), glow, 0.15 * lit)
        brush.fill(ellipse(hx - 10, foot + 14, 130, 20), glow, 0.10 * lit)
        for radius in (94.0, 58.0):
            brush.fill(ellipse(hx, head + 18, radius, radius), glow, 0.10 * lit)
    brush.fill(ellipse(x, foot + 2, 26, 5), shade(palette("ground")), 0.5)
    brush.line(iron, 8.0, (x, foot), (x, head + 60))
    brush.line(iron, 12.0, (x, foot), (x, foot - 40))
    arm = skia.Path()
    arm.moveTo(x, head + 60)
    arm.cubicTo(x, head - 20, x + 30, head - 12, hx - 6, head)
    brush.stroke(arm, iron, 7.0)
    hood = skia.Path()
    hood.moveTo(hx - 34, head + 17)
    hood.cubicTo(hx - 30, head - 16, hx + 26, head - 22, hx + 36, head + 17)
    hood.close()
    brush.fill(ellipse(hx, head + 19, 25, 10), palette.lit(palette("pale"), max(0.2, lit)))
    brush.fill(hood, iron)


DESIGN = SetDesign(
    horizon=PAVEMENT,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=_animate_sky),
        CLOUDS,
        Layer(depth=0.22, paint=_row(0)),
        Layer(depth=0.42, paint=_row(1)),
        Layer(depth=0.72, paint=_shops),
        Layer(depth=1.0, paint=_street),
        Layer(depth=0.85, paint=_paint_objects),
    ),
)
