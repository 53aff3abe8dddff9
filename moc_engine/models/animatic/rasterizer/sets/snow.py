"""The snow set: jagged mountains, firs and a cabin with lit windows."""

from __future__ import annotations

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.foliage import fir
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import (
    Point,
    box,
    edge_placement,
    ellipse,
    hashed,
    polygon,
    ridge,
    smooth,
    waves,
)
from moc_engine.models.animatic.rasterizer.palette import Lab, lighter, mix, shade
from moc_engine.models.animatic.rasterizer.scenery import lay_ground
from moc_engine.models.animatic.rasterizer.sky import (
    CLOUDS,
    paint_aurora,
    paint_disc,
    paint_sky,
    paint_stars,
    twinkle,
)

EDGE = HORIZON - 52.0


def _sky(brush: Brush) -> None:
    paint_sky(brush)
    paint_aurora(brush)
    paint_stars(brush)
    paint_disc(brush, -260.0 * brush.layout[5] - 60.0, 132.0)


def peak(
    brush: Brush, x: float, base: float, width: float, height: float, colour: Lab, cap: Lab, seed: int
) -> None:
    """Paints a mountain with a shaded right side and a jagged snow cap."""
    top = base - height
    lean = width * 0.06 * (hashed(seed, 141) - 0.5)
    tip: Point = (x + lean, top)
    outline = polygon(
        (
            (x - width / 2, base),
            (x - width * 0.22, top + height * 0.42),
            tip,
            (x + width * 0.26, top + height * 0.46),
            (x + width / 2, base),
        )
    )
    dark = shade(colour, 0.8)
    brush.fill(outline, colour)
    with brush.clipped(outline):
        brush.fill(
            polygon(
                (
                    tip,
                    (x + width * 0.06, top + height * 0.30),
                    (x - width * 0.04, top + height * 0.55),
                    (x + width * 0.07, base),
                    (x + width, base),
                    (x + width, top),
                )
            ),
            dark,
        )
        brush.grain(
            outline,
            lighter(colour, 1.6),
            (x, base - height * 0.2),
            (x - width * 0.3, base - height * 0.9),
            0.4,
        )
        brush.grain(
            outline, mix(colour, brush.palette.sky_low, 0.6), (x, base - height * 0.45), (x, base + 10), 0.9
        )
    line = top + height * (0.30 + 0.10 * hashed(seed, 142))
    jag: list[Point] = [tip]
    for k, (u, dip) in enumerate(
        ((0.20, 0.02), (0.10, 0.12), (0.03, 0.02), (-0.04, 0.13), (-0.10, 0.03), (-0.19, 0.06))
    ):
        jag.append((x + u * width * 0.92, line + height * (dip - 0.02 + 0.04 * hashed(seed, k, 143))))
    snowcap = polygon(jag)
    with brush.clipped(outline):
        brush.fill(snowcap, cap)
        with brush.clipped(snowcap):
            brush.fill(
                polygon(
                    (
                        tip,
                        (x + width * 0.05, top + height * 0.22),
                        (x, line + height * 0.2),
                        (x + width, line + height * 0.2),
                        (x + width, top),
                    )
                ),
                shade(cap, 0.55),
            )


def _far(brush: Brush) -> None:
    palette, layout, bounds = brush.palette, brush.layout, brush.bounds
    for row, (haze, spacing, tall, base) in enumerate(
        ((0.46, 280.0, 185.0, EDGE + 6.0), (0.20, 380.0, 225.0, EDGE + 16.0))
    ):
        shift = 150.0 * layout[row]
        colour = palette("far" if row == 0 else "mid", haze=haze)
        cap = palette("cap", haze=haze * 0.35)
        for i in range(int((bounds.left - shift) // spacing) - 1, int((bounds.right - shift) // spacing) + 2):
            x = (i + 0.55 * hashed(i, row, 144)) * spacing + shift
            height = tall * (0.62 + 0.60 * hashed(i, row, 145)) * (1.0 + 0.28 * layout[2])
            peak(
                brush, x, base, height * (1.35 + 0.3 * hashed(i, row, 146)), height, colour, cap, i + 10 * row
            )
    snowfield = ridge(bounds.left, bounds.right, 680.0, lambda x: EDGE - 2.0 + waves(x, (5.0, 700.0, 0.1)))
    brush.fill(snowfield, palette("ground_low", haze=0.30))


def _mid(brush: Brush) -> None:
    palette, layout, bounds = brush.palette, brush.layout, brush.bounds

    def crest(x: float) -> float:
        return EDGE + 8.0 + waves(x, (10.0, 820.0, 0.4 * layout[4]), (4.0, 270.0, 0.3))

    field = ridge(bounds.left, bounds.right, 700.0, crest)
    shift = 100.0 * layout[3]
    for i in range(int((bounds.left - shift) // 78) - 1, int((bounds.right - shift) // 78) + 2):
        if hashed(i, 151) > 0.38:
            x = (i + 0.7 * hashed(i, 152)) * 78.0 + shift
            fir(
                brush,
                x,
                crest(x) + 6.0,
                74.0 + 44.0 * hashed(i, 153) + 14.0 * layout[1],
                haze=0.24,
                snowy=0.9,
            )
    brush.blend(
        field,
        (0.0, EDGE),
        (0.0, EDGE + 120.0),
        ((0.0, palette("ground"), 1.0), (1.0, palette("ground_low"), 1.0)),
    )
    brush.grain(field, shade(palette("ground_low"), 0.4), (0.0, EDGE + 10.0), (0.0, EDGE + 110.0), 0.4, 0.7)


def _cabin_place(brush: Brush) -> tuple[float, float, float]:
    """The position (x, y) and the size of the cabin."""
    side, near = edge_placement(brush.layout[0])
    x = -400.0 * side + 40.0 * brush.layout[1]
    return x, EDGE + 44.0 + 22.0 * near, near * (1.0 + 0.14 * brush.layout[4])


def _cabin(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    wall, cap, door = palette("wall"), palette("cap"), palette("accent")
    with brush.placed(*_cabin_place(brush), mirrored=layout[0] < 0):
        brush.fill(ellipse(0, 4, 122, 10), shade(palette("ground_low")), 0.5)
        brush.paper(box(36, -190, 30, 70), shade(wall, 0.8), 0.5)
        brush.fill(box(31, -196, 40, 11, 4), cap)
        gable = polygon(((-96, -104), (0, -184), (96, -104)))
        brush.fill(gable, shade(wall, 0.6))
        body = box(-96, -106, 192, 110)
        brush.paper(body, wall, 0.5)
        for i in range(1, 6):
            brush.line(shade(wall, 1.1), 2.6, (-96, -106 + 18.4 * i), (96, -106 + 18.4 * i), alpha=0.8)
        for i in range(7):
            x = -80.0 + 160.0 * hashed(i, 161)
            y = -106.0 + 18.4 * (1 + int(5 * hashed(i, 162)))
            brush.line(shade(wall, 1.1), 2.2, (x, y - 18), (x, y), alpha=0.8)
        glass = palette.lit(palette.graded((0.80, 0.06, 85)))
        brush.fill(box(-74, -82, 58, 48, 2), shade(wall, 1.2))
        brush.fill(box(-69, -77, 48, 38, 1), glass)
        brush.line(shade(wall, 1.2), 3.2, (-45, -77), (-45, -39))
        brush.line(shade(wall, 1.2), 3.2, (-69, -58), (-21, -58))
        brush.fill(box(-78, -37, 66, 7, 3), cap)
        brush.paper(box(20, -74, 44, 78, 5), door, 0.5)
        brush.fill(ellipse(55, -34, 3, 3), palette("accent_2"))
        roof = skia.Path()
        roof.moveTo(0, -206)
        roof.lineTo(132, -98)
        roof.quadTo(136, -80, 118, -84)
        roof.lineTo(0, -178)
        roof.lineTo(-118, -84)
        roof.quadTo(-136, -80, -132, -98)
        roof.close()
        brush.fill(roof, cap)
        brush.grain(roof, shade(cap, 0.8), (-20, -190), (110, -80), 0.5)
        glowing = brush.climate.night + 0.5 * brush.climate.sunset
        if glowing > 0.1:
            brush.halo(-45, -58, 130, palette.lit(glass, 1.0), 0.42 * glowing)
            spill = polygon(((-74, 2), (-16, 2), (14, 44), (-120, 44)))
            brush.fill(spill, palette.lit(glass, 1.0), 0.20 * glowing)


def _smoke(brush: Brush, time: float) -> None:
    puff = mix(brush.palette("pale"), brush.palette.sky_low, 0.35)
    x, y, size = _cabin_place(brush)
    x += size * (51.0 if brush.layout[0] >= 0 else -51.0)
    y -= 200.0 * size
    for i in range(6):
        age = (0.28 * time + i / 6) % 1.0
        drift = (
            30.0 * age + 16.0 * float(np.sin(5.0 * age + 0.8 * time)) + 120.0 * brush.climate.wind * age**1.4
        )
        radius = 6.0 + 19.0 * age
        brush.fill(
            ellipse(x + drift, y - 95.0 * age, radius, radius * 0.9),
            puff,
            0.55 * float(np.sin(np.pi * age)) ** 0.7,
        )


def _paint_objects(brush: Brush) -> None:
    layout = brush.layout
    _cabin(brush)
    side, near = edge_placement(layout[0])
    spots = (
        (560.0 * side, 300.0 + 40.0 * layout[1]),
        (450.0 * side + 60.0 * layout[3], 190.0),
        (-620.0 * side, 240.0 + 40.0 * layout[2]),
    )
    for shift in (-1500.0, 0.0, 1500.0):
        for x, height in spots:
            fir(brush, x + shift, EDGE + 44.0 + 30.0 * near, near * height)


def _ground(brush: Brush) -> None:
    palette, layout, bounds = brush.palette, brush.layout, brush.bounds
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)

    def crest(x: float) -> float:
        return EDGE + 46.0 + waves(x, (11.0, 1040.0, 0.35 * layout[4]), (4.0, 360.0, 0.6))

    ground, low = palette("ground"), palette("ground_low")
    field = ridge(left, right, bottom, crest)
    lay_ground(brush, field, EDGE + 40.0, ground, low)
    with brush.clipped(field):
        for i in range(int(left // 250) - 1, int(right // 250) + 2):
            x, y = (i + hashed(i, 171)) * 250.0, EDGE + 80.0 + 150.0 * hashed(i, 172)
            drift = smooth(((x - 60, y), (x - 18, y - 6), (x + 26, y - 4), (x + 62, y + 2)), closed=False)
            brush.stroke(drift, shade(low, 0.5), 2.6, 0.6)
            if hashed(i, 173) > 0.55:
                mound = smooth(((x + 70, y + 20), (x + 96, y + 3), (x + 136, y), (x + 178, y + 20)))
                brush.fill(mound, lighter(ground))
                brush.grain(mound, shade(low, 0.5), (x + 110, y + 2), (x + 180, y + 24), 0.6)


DESIGN = SetDesign(
    horizon=EDGE + 46.0,
    layers=(
        Layer(depth=0.06, paint=_sky, animate=twinkle),
        CLOUDS,
        Layer(depth=0.22, paint=_far),
        Layer(depth=0.5, paint=_mid),
        Layer(depth=0.74, paint=_paint_objects, animate=_smoke),
        Layer(depth=1.0, paint=_ground),
    ),
)
