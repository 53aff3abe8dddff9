"""The beach set: sea, a sailing boat, palms and a parasol on sand."""

from __future__ import annotations

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.foliage import corner_leaves, palm, star_flower
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
from moc_engine.models.animatic.rasterizer.palette import Lab, argb, lighter, mix, shade
from moc_engine.models.animatic.rasterizer.scenery import lay_ground
from moc_engine.models.animatic.rasterizer.sky import (
    CLOUDS,
    birds,
    paint_disc,
    paint_sky,
    paint_stars,
    twinkle,
)

SEA_TOP = 392.0
SHORE = HORIZON - 44.0


def _sky(brush: Brush) -> None:
    paint_sky(brush)
    paint_stars(brush, lowest=SEA_TOP)
    paint_disc(brush, 360.0 * brush.layout[5] - 120.0 * brush.layout[1], 148.0)


def _animate_sky(brush: Brush, time: float) -> None:
    twinkle(brush, time)
    birds(brush, time, -130.0 + 200.0 * brush.layout[3], 250.0)


def _sea(brush: Brush) -> None:
    palette, bounds, layout = brush.palette, brush.bounds, brush.layout
    far = palette("far", haze=0.25)
    x, size = 420.0 * layout[3], 0.8 + 0.5 * layout[2]
    _island(brush, x, 330.0 * size, 52.0 * size, far)
    _island(brush, x + 150.0, 230.0 * size, 32.0 * size, mix(far, palette.sky_low, 0.25))
    sea = box(bounds.left, SEA_TOP, bounds.right - bounds.left, 260.0)
    top, low = palette("sea"), palette("sea_low")
    brush.blend(sea, (0.0, SEA_TOP), (0.0, SHORE + 40.0), ((0.0, top, 1.0), (1.0, low, 1.0)))
    brush.grain(sea, lighter(low), (0.0, SEA_TOP + 10.0), (0.0, SHORE + 60.0), 0.30, 0.7)
    brush.grain(sea, shade(top, 0.7), (0.0, SEA_TOP + 60.0), (0.0, SEA_TOP - 6.0), 0.35, 0.7)
    brush.fill(box(bounds.left, SEA_TOP, bounds.right - bounds.left, 2.0), shade(top, 0.5), 0.6)
    climate = brush.climate
    shine = max(climate.sunset, climate.night) * (1.0 - 0.8 * climate.rain)
    if shine > 0.05:  # the reflection of the sun or moon on the water
        light = palette.lit(mix(palette.sky_low, (0.93, 0.03, 0.07), 0.5), climate.night)
        sun = 360.0 * layout[5] - 120.0 * layout[1]
        for i in range(26):
            y = SEA_TOP + 4.0 + 84.0 * (i / 25) ** 1.2
            half = (10.0 + 52.0 * hashed(i, 3)) * (0.5 + i / 30)
            brush.fill(
                box(sun - half + 34.0 * (hashed(i, 4) - 0.5), y, 2 * half, 2.6, 1.3), light, 0.55 * shine
            )


def _island(brush: Brush, x: float, half: float, height: float, colour: Lab) -> None:
    def top(px: float) -> float:
        return SEA_TOP - height * float(np.cos(0.5 * np.pi * np.clip((px - x) / half, -1, 1)) ** 1.7)

    brush.paper(ridge(x - half, x + half, SEA_TOP + 2.0, top, 8.0), colour, 0.25)


def _animate_sea(brush: Brush, time: float) -> None:
    palette, layout = brush.palette, brush.layout
    glint = mix(palette("foam"), palette("sea_low"), 0.25)
    paint = skia.Paint(
        Color=argb(glint, 0.55), AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeWidth=2.2
    )
    path = skia.Path()
    for i in range(44):
        x = -1100.0 + 50.0 * i + 30.0 * hashed(i, 5) + 7.0 * float(np.sin(0.9 * time + 6.0 * hashed(i, 6)))
        y = SEA_TOP + 9.0 + 76.0 * hashed(i, 7)
        half = (6.0 + 20.0 * hashed(i, 8)) * (0.55 + 0.45 * float(np.sin(1.3 * time + 6.3 * hashed(i, 9))))
        if half > 3.0:
            path.moveTo(x - half, y)
            path.lineTo(x + half, y)
    brush.canvas.drawPath(path, paint)
    x, size = -330.0 * layout[3] + 190.0 * layout[0] + 5.0 * time, 0.95 + 0.25 * layout[4]
    bob = 1.6 * float(np.sin(1.7 * time))
    with brush.placed(x, SEA_TOP + 20.0 + bob, size, 2.0 * float(np.sin(1.3 * time + 0.6))):
        brush.fill(polygon(((-34, -9), (34, -9), (24, 4), (-26, 4))), palette("dark"))
        brush.fill(polygon(((-3, -14), (-3, -78), (-34, -14))), palette("accent"))
        brush.fill(polygon(((2, -14), (2, -68), (28, -14))), palette("pale"))


def _shore_at(brush: Brush, x: float) -> float:
    phase = 0.4 * brush.layout[4]
    return SHORE + waves(x, (9.0 + 4.0 * brush.layout[2], 900.0, phase), (4.0, 310.0, 2 * phase))


def _sand(brush: Brush) -> None:
    palette, bounds = brush.palette, brush.bounds
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)
    ground, low = palette("ground"), palette("ground_low")
    brush.fill(ridge(left, right, bottom, lambda x: _shore_at(brush, x) - 9.0), palette("wet"))
    sand = ridge(left, right, bottom, lambda x: _shore_at(brush, x) + 9.0 + waves(x, (3.0, 430.0, 0.2)))
    lay_ground(brush, sand, SHORE, ground, low)
    for i in range(int(left // 130) - 1, int(right // 130) + 2):
        x, y = (i + hashed(i, 51)) * 130.0, SHORE + 40.0 + 175.0 * hashed(i, 52)
        brush.line(shade(low, 0.6), 2.2, (x, y), (x + 16.0 + 18.0 * hashed(i, 53), y), alpha=0.5)
        if hashed(i, 54) > 0.62:
            star_flower(
                brush,
                x + 60.0,
                y + 14.0,
                10.0,
                palette("accent") if hashed(i, 55) > 0.5 else palette("accent_2"),
            )
        elif hashed(i, 54) < 0.22:
            shell = ellipse(x + 50.0, y + 10.0, 6.5, 4.5)
            brush.paper(shell, palette("pale"), 0.4)


def _animate_sand(brush: Brush, time: float) -> None:
    foam, wet = brush.palette("foam"), brush.palette("sea_low")
    lap = 3.5 * float(np.sin(1.1 * time))
    left, right = brush.bounds.left, brush.bounds.right
    xs = np.arange(left - 20.0, right + 45.0, 24.0)
    path = skia.Path()
    for i, x in enumerate(xs):
        y = _shore_at(brush, float(x)) - 9.0 + lap + 2.2 * float(np.sin(x / 90.0 + 0.8 * time))
        (path.lineTo if i else path.moveTo)(float(x), y)
    brush.stroke(path, wet, 14.0, 0.6)
    brush.canvas.save()
    brush.canvas.translate(0.0, 6.0)
    brush.stroke(path, foam, 4.6, 0.95)
    brush.canvas.restore()


def _paint_objects(brush: Brush) -> None:
    _parasol(brush)
    _palms(brush)


def _parasol(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    side, near = edge_placement(layout[0])
    x = -430.0 * side + 90.0 * layout[2]
    y, size = 540.0 + 52.0 * near, near * (1.0 + 0.16 * layout[1])
    red, pale = palette("accent"), palette("pale")
    towel = palette("accent_2")
    with brush.placed(x, y, size):
        sheet = polygon(((-150, -24), (20, -24), (44, 2), (-162, 2)))
        brush.fill(sheet, towel)
        with brush.clipped(sheet):
            for i in range(5):
                brush.line(pale, 5.0, (-134 + 38 * i, -30), (-142 + 41 * i, 8), alpha=0.8)
            brush.grain(sheet, shade(towel), (-120, -30), (60, 20), 0.5)
    with brush.placed(x, y, size, -7.0 * side):
        brush.fill(ellipse(30, 6, 92, 10), shade(palette("ground_low")), 0.35)
        brush.line(pale, 8.0, (0, 0), (0, -300))
        brush.line(shade(pale), 2.6, (2.4, 0), (2.4, -300))
        dome = skia.Path()
        dome.moveTo(-168, -214)
        dome.cubicTo(-158, -340, 158, -340, 168, -214)
        for i in range(6):
            dome.quadTo(168 - 56 * i - 28, -232, 168 - 56 * (i + 1), -214)
        dome.close()
        brush.fill(dome, pale)
        with brush.clipped(dome):
            brush.grain(dome, shade(pale), (-60, -330), (210, -190), 0.7)
            for a, b in ((-168, -112), (-56, 0), (56, 112)):
                panel = skia.Path()
                panel.moveTo(0, -312)
                panel.quadTo(a * 1.05, -300, a, -205)
                panel.lineTo(b, -205)
                panel.quadTo(b * 1.05, -300, 0, -312)
                brush.fill(panel, red)
                brush.grain(panel, shade(red), (-60, -330), (210, -190), 0.75)
        brush.fill(ellipse(0, -312, 7, 7), red)


def _palms(brush: Brush) -> None:
    layout = brush.layout
    side, near = edge_placement(layout[0])
    lean = -side * (45.0 + 30.0 * layout[1])
    second = near * (0.62 + 0.30 * layout[4])
    foot = 526.0 + 40.0 * near
    palm(brush, 605.0 * side, foot - 10.0, 330.0 * second, lean * 0.8, spread=150.0 * second)
    palm(brush, 455.0 * side, foot, near * (420.0 + 46.0 * layout[1]), lean, spread=185.0 * near)
    for k in (-1.0, 1.0):
        x = 455.0 * side + 1500.0 * k
        palm(brush, x, 560.0, 400.0 - 40.0 * layout[1], 50.0 * k, spread=170.0)


DESIGN = SetDesign(
    horizon=SHORE,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=_animate_sky),
        CLOUDS,
        Layer(depth=0.3, paint=_sea, animate=_animate_sea),
        Layer(depth=1.0, paint=_sand, animate=_animate_sand),
        Layer(depth=0.78, paint=_paint_objects),
        Layer(depth=1.5, animate=corner_leaves),
    ),
)
