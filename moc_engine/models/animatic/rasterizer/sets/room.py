"""The room set: wallpaper, a window with the weather outside, curtains, a lamp and a rug."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.layers import Layer, SetDesign
from moc_engine.models.animatic.rasterizer.outlines import blade, box, ellipse, hashed, hills, polygon, smooth
from moc_engine.models.animatic.rasterizer.palette import Lab, Palette, lighter, mix, shade
from moc_engine.models.animatic.rasterizer.sky import cloud, paint_disc, paint_stars

FLOOR = HORIZON - 62.0
SKIRTING = 26.0
DADO = FLOOR - 92.0

_WALL_DEPTH = 0.32


def _window_x(brush: Brush) -> float:
    return -190.0 * float(np.tanh(2.0 * brush.layout[0])) - 40.0 * brush.layout[3]


def _lamp_x(brush: Brush) -> float:
    return 370.0 * float(np.tanh(2.4 * brush.layout[0])) + 50.0 * brush.layout[1]


def _wall(brush: Brush) -> None:
    palette, bounds = brush.palette, brush.bounds
    left, width = bounds.left, bounds.right - bounds.left
    wall, low, panel, wood = palette("wall"), palette("wall_low"), palette("panel"), palette("wood")
    top = min(bounds.top, 0.0)
    paper = box(left, top, width, DADO - top)
    brush.blend(
        paper, (0.0, 0.0), (0.0, DADO), ((0.0, low, 1.0), (0.5, wall, 1.0), (1.0, mix(wall, low, 0.5), 1.0))
    )
    _pattern(brush, shade(wall, 0.45))
    brush.grain(paper, shade(low, 0.8), (0.0, 220.0), (0.0, top - 60.0), 0.45, 0.7)
    brush.fill(box(left, DADO, width, FLOOR - DADO), panel)
    for i in range(int(left // 128) - 1, int(bounds.right // 128) + 2):
        x = 128.0 * i
        frame = box(x + 12, DADO + 20, 104, FLOOR - SKIRTING - DADO - 32, 3)
        brush.fill(frame, shade(panel, 0.35))
        brush.fill(
            box(x + 15, DADO + 24, 101, FLOOR - SKIRTING - DADO - 36, 3), mix(panel, lighter(panel), 0.5)
        )
    brush.grain(box(left, DADO, width, FLOOR - DADO), shade(panel, 0.9), (0.0, DADO), (0.0, FLOOR + 30), 0.35)
    brush.fill(box(left, DADO - 5, width, 13), wood)
    brush.fill(box(left, DADO - 5, width, 4), lighter(wood, 1.4))
    brush.fill(box(left, FLOOR - SKIRTING, width, SKIRTING + 40), wood)
    brush.fill(box(left, FLOOR - SKIRTING, width, 4), lighter(wood, 1.2))
    _pictures(brush)
    _window(brush)
    _shelf(brush)
    _lamplight(brush)


def _pattern(brush: Brush, ink: Lab) -> None:
    """Paints the wallpaper's pattern of sprigs; the layout blends it into stripes."""
    stripes = float(np.clip(brush.layout[4], 0.0, 1.0))
    for i in range(int(brush.bounds.left // 86) - 1, int(brush.bounds.right // 86) + 2):
        if stripes > 0.05:
            brush.fill(
                box(86.0 * i - 16, min(brush.bounds.top, 0.0), 32, DADO - min(brush.bounds.top, 0.0)),
                ink,
                0.30 * stripes,
            )
        for j in range(int(min(brush.bounds.top, 0.0) // 74), int(DADO // 74) + 1):
            x, y = 86.0 * i + (43.0 if j % 2 else 0.0), 74.0 * j + 40.0
            if y > DADO - 12:
                continue
            for angle in (-0.75, 0.75):
                brush.fill(blade(x, y, 19.0, 5.0, angle, 3.0 * angle), ink, 0.5 * (1 - 0.6 * stripes))


def _pane(brush: Brush) -> tuple[float, float, float, float]:
    """The left, top, width and height of the window."""
    layout = brush.layout
    width = 320.0 + 50.0 * layout[2]
    return _window_x(brush) - width / 2, 112.0 - 8.0 * layout[2], width, 196.0


def _weather_outside(brush: Brush, time: float) -> None:
    """Draws rain or snow outside the window."""
    climate = brush.climate
    if max(climate.rain, climate.snow) < 0.05:
        return
    left, top, width, height = _pane(brush)
    fall, flakes = skia.Path(), skia.Path()
    for i in range(46):
        x = left + width * ((hashed(i, 231) + 0.06 * time) % 1.0)
        if i < 30:
            y = top + height * ((hashed(i, 232) + 2.1 * time) % 1.0)
            fall.moveTo(x, y)
            fall.lineTo(x - 4.0, y + 14.0)
        y = top + height * ((hashed(i, 233) + 0.14 * time) % 1.0)
        flakes.addCircle(x + 5.0 * float(np.sin(time + i)), y, 1.4 + 1.2 * hashed(i, 234))
    with brush.clipped(box(left + 6.0, top + 6.0, width - 12.0, height - 12.0)):
        pale = brush.palette.graded((0.95, 0.02, 230.0))
        if climate.rain > 0.05:
            brush.stroke(fall, pale, 1.6, 0.55 * climate.rain)
        if climate.snow > 0.05:
            brush.fill(flakes, pale, 0.9 * climate.snow)
    middle = left + width / 2
    frame = _frame_colour(brush)
    brush.line(frame, 8.0, (middle, top), (middle, top + height))
    brush.line(frame, 8.0, (left, top + height * 0.46), (left + width, top + height * 0.46))


def _frame_colour(brush: Brush) -> Lab:
    return mix(brush.palette("pale"), brush.palette("wood"), 0.25)


def _outside(brush: Brush) -> Palette:
    """The palette of the view from the window: a meadow at the same time of day."""
    return Palette("meadow", replace(brush.climate, indoors=False))


def _window(brush: Brush) -> None:
    layout = brush.layout
    left, y, width, height = _pane(brush)
    x = left + width / 2
    pane = box(left, y, width, height)
    outside = _outside(brush)
    with brush.clipped(pane):
        view = Brush(brush.canvas, outside, bounds=brush.bounds, layout=layout, fineness=1.0)
        view.blend(
            pane, (0.0, y), (0.0, y + height), ((0.0, outside.sky_top, 1.0), (1.0, outside.sky_low, 1.0))
        )
        brush.canvas.save()
        brush.canvas.translate(left, y)
        brush.canvas.scale(0.55, 0.55)
        paint_stars(view, lowest=330.0)
        disc_y = 74.0 - outside.climate.sunset * 60.0
        paint_disc(view, 330.0 + 130.0 * layout[5], disc_y)
        cloud(view, 150.0 - 60.0 * layout[5], 120.0, 170.0, 3)
        brush.canvas.restore()
        for base, role, turn in ((0.66, "far", 0.1), (0.78, "mid", 0.5), (0.9, "leaf", 0.8)):
            swell = (13.0, 260.0, turn + 0.3 * layout[3])
            hill = hills(left, left + width, y + height + 5, y + height * base, swell)
            view.paper(hill, outside(role, haze=0.25 if role == "leaf" else 0.1), 0.4)
    frame, night = _frame_colour(brush), brush.climate.night
    brush.stroke(pane, frame, 13.0, round_ends=False)
    brush.line(frame, 8.0, (x, y), (x, y + height))
    brush.line(frame, 8.0, (left, y + height * 0.46), (left + width, y + height * 0.46))
    brush.fill(box(left - 26, y + height + 4, width + 52, 17, 3), frame)
    brush.fill(box(left - 26, y + height + 16, width + 52, 6, 3), shade(frame))
    if night < 0.9:
        shaft = polygon(((left, y), (left + width, y), (left + width + 240, FLOOR), (left + 160, FLOOR)))
        brush.blend(
            shaft,
            (0.0, y),
            (0.0, FLOOR),
            (
                (0.0, outside.sky_low, 0.0),
                (0.5, outside.sky_low, 0.16 * (1 - night)),
                (1.0, outside.sky_low, 0.04),
            ),
        )
    _curtains(brush, x, y - 32.0, width, height + 88.0)


def _curtains(brush: Brush, x: float, y: float, width: float, height: float) -> None:
    palette, layout = brush.palette, brush.layout
    cloth = palette("accent")
    brush.line(palette("wood"), 8.0, (x - width / 2 - 74, y), (x + width / 2 + 74, y))
    for side in (-1.0, 1.0):
        inner = x + side * (width / 2 - 10.0 - 16.0 * layout[5])
        outer = x + side * (width / 2 + 58.0)
        waist = y + height * 0.62
        sheet = skia.Path()
        sheet.moveTo(outer, y - 6)
        sheet.lineTo(inner, y - 6)
        sheet.cubicTo(
            inner + side * 4, y + height * 0.3, inner + side * 34, y + height * 0.45, inner + side * 40, waist
        )
        sheet.quadTo(inner + side * 34, y + height * 0.9, inner + side * 18, y + height)
        sheet.lineTo(outer + side * 8, y + height)
        sheet.close()
        brush.paper(sheet, cloth, 0.5)
        with brush.clipped(sheet):
            for k in range(1, 4):
                px = inner + (outer - inner) * k / 4
                fold = smooth(
                    (
                        (px, y - 8),
                        (px + side * 10, y + height * 0.4),
                        (px + side * 6, y + height * 0.7),
                        (px, y + height + 4),
                    ),
                    closed=False,
                )
                brush.stroke(fold, shade(cloth), 6.0, 0.6)
        brush.fill(ellipse(outer, y, 9, 9), palette("wood"))


def _pictures(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    start = 300.0 * float(np.tanh(2.0 * layout[0])) - 20.0 * layout[1]
    for k, (dx, y, w, h) in enumerate(
        (
            (-60.0, 106.0, 96.0, 112.0),
            (78.0 + 24.0 * layout[2], 158.0, 78.0, 62.0),
            (-620.0, 130.0, 100.0, 76.0),
            (620.0, 120.0, 84.0, 104.0),
        )
    ):
        x, y = start + dx, y + 14.0 * layout[3]
        wood, mount = palette("trunk"), palette("pale")
        brush.fill(box(x - w / 2 + 5, y + 6, w, h), shade(palette("wall"), 0.8), 0.5)
        brush.fill(box(x - w / 2, y, w, h, 2), wood)
        brush.fill(box(x - w / 2 + 8, y + 8, w - 16, h - 16), mix(mount, palette("wall"), 0.25))
        inside = box(x - w / 2 + 8, y + 8, w - 16, h - 16)
        with brush.clipped(inside):
            brush.paper(
                ellipse(x - 4, y + h, w * 0.42, h * 0.52),
                palette("accent_2") if k % 2 == 0 else palette("leaf"),
                0.6,
            )
            brush.fill(ellipse(x + w * 0.18, y + h * 0.32, w * 0.12, w * 0.12), palette("accent"))


def _shelf(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    wood = palette("wood")
    x = _lamp_x(brush) + 215.0 * (1.0 if layout[0] >= 0 else -1.0)
    left, width, top = x - 78.0, 170.0, 186.0 - 30.0 * layout[2]
    brush.paper(box(left, top, width, FLOOR - top + 8, 3), wood, 0.4)
    rows = 3
    for r in range(rows):
        y = top + 12.0 + r * (FLOOR - top) / rows
        tall = (FLOOR - top) / rows - 14.0
        nook = box(left + 9, y, width - 18, tall)
        brush.fill(nook, shade(wood, 1.3))
        bx = left + 13.0
        k = 0
        while bx < left + width - 30:
            thick = 9.0 + 9.0 * hashed(r, k, 191)
            high = tall * (0.62 + 0.30 * hashed(r, k, 192))
            tones = (palette("accent"), palette("accent_2"), palette("leaf"), palette("rug"), palette("pale"))
            tone = tones[int(hashed(r, k, 193) * 5)]
            brush.paper(box(bx, y + tall - high, thick, high, 1), tone, 0.4)
            brush.fill(box(bx, y + tall - high * 0.8, thick, 3), lighter(tone, 1.5), 0.8)
            bx += thick + 1.5
            k += 1


def _lamplight(brush: Brush) -> None:
    """Paints the light of the lamp on the wall."""
    lit = 0.25 + 0.75 * brush.climate.night + 0.3 * brush.climate.sunset
    glow = brush.palette.lit(brush.palette("pale"), 1.0)
    x = _lamp_x(brush)
    brush.halo(x, 170.0, 300.0, glow, min(1.0, lit) * 0.36)
    cone = polygon(((x - 62, 204), (x + 62, 204), (x + 220, FLOOR), (x - 220, FLOOR)))
    brush.blend(cone, (0.0, 204.0), (0.0, FLOOR), ((0.0, glow, 0.20 * lit), (1.0, glow, 0.03 * lit)))


def _floor(brush: Brush) -> None:
    palette, bounds = brush.palette, brush.bounds
    left, right, bottom = bounds.left, bounds.right, max(bounds.bottom, 740.0)
    ground, low = palette("ground"), palette("ground_low")
    boards = box(left, FLOOR, right - left, bottom - FLOOR)
    brush.blend(boards, (0.0, FLOOR), (0.0, 720.0), ((0.0, ground, 1.0), (1.0, low, 1.0)))
    seam = shade(low, 0.9)
    rows = (FLOOR, FLOOR + 26.0, FLOOR + 58.0, FLOOR + 98.0, FLOOR + 150.0, FLOOR + 216.0, bottom)
    for r, y in enumerate(rows[:-1]):
        if y >= bottom:
            break
        brush.line(seam, 2.0 + 0.4 * r, (left, y), (right, y), alpha=0.7)
        for i in range(int(left // 210) - 1, int(right // 210) + 2):
            x = (i + 0.5 * (r % 2) + 0.3 * hashed(i, r, 194)) * 210.0
            brush.line(seam, 2.0, (x, y), (x + 0.03 * x, min(rows[r + 1], bottom)), alpha=0.6)
    brush.grain(boards, shade(low, 0.9), (0.0, FLOOR + 10.0), (0.0, 770.0), 0.5, 0.85)
    brush.fill(box(left, FLOOR, right - left, 9.0), shade(low, 1.0), 0.35)
    _rug(brush)


def _furniture(brush: Brush) -> None:
    x = _lamp_x(brush)
    glow = brush.palette.lit(brush.palette("pale"), 1.0)
    lit = 0.15 + 0.85 * brush.climate.night
    brush.fill(ellipse(x, FLOOR + 40.0, 190.0, 26.0), glow, 0.16 * lit)
    _lamp(brush, x)
    _plant(brush)


def _rug(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    x, y = 60.0 * layout[3], 626.0
    wide = 540.0 + 60.0 * layout[1]
    outer, inner = palette("rug"), palette("rug_2")
    for share, colour in ((1.0, outer), (0.93, inner), (0.885, outer), (0.66, inner), (0.625, outer)):
        brush.fill(ellipse(x, y, wide * share, 84.0 * share), colour)
    dots = 34
    for i in range(dots):
        angle = 2 * np.pi * i / dots
        brush.fill(
            ellipse(
                x + wide * 0.765 * float(np.cos(angle)), y + 84.0 * 0.765 * float(np.sin(angle)), 9.0, 4.0
            ),
            inner,
        )
    mat = ellipse(x, y, wide, 84.0)
    brush.grain(mat, shade(outer), (x - wide * 0.3, y - 60.0), (x + wide * 0.4, y + 100.0), 0.3, 0.7)
    brush.grain(mat, lighter(inner, 0.6), (x, y + 20.0), (x - wide * 0.3, y - 84.0), 0.2)


def _lamp(brush: Brush, x: float) -> None:
    palette = brush.palette
    dark = palette("dark")
    base = FLOOR + 36.0
    brush.fill(ellipse(x, base + 4, 60, 11), shade(palette("ground_low")), 0.45)
    brush.fill(ellipse(x, base, 44, 10), dark)
    brush.line(dark, 6.0, (x, base), (x, 196))
    shade_path = polygon(((x - 44, 104), (x + 44, 104), (x + 76, 206), (x - 76, 206)))
    cloth = palette.lit(
        mix(palette("pale"), palette("accent_2"), 0.15),
        0.35 + 0.65 * min(1.0, brush.climate.night + 0.5 * brush.climate.sunset),
    )
    brush.fill(shade_path, cloth)
    with brush.clipped(shade_path):
        brush.grain(shade_path, shade(cloth, 0.8), (x - 20, 130), (x + 90, 206), 0.35)
        brush.fill(box(x - 90, 198, 180, 9), shade(cloth, 0.7), 0.6)


def _plant(brush: Brush) -> None:
    palette, layout = brush.palette, brush.layout
    x, y = -500.0 * float(np.tanh(2.4 * layout[0])) + 60.0 * layout[4], FLOOR + 66.0
    tall = 130.0 + 40.0 * layout[1]
    for k in range(9):
        u = k / 4 - 1
        brush.paper(
            blade(x, y - 60, tall * (1.0 - 0.25 * abs(u)), 15.0, 0.95 * u, 22.0 * u),
            palette("leaf") if k % 2 else palette("leaf_low"),
            0.5,
        )
    pot = polygon(((x - 36, y - 68), (x + 36, y - 68), (x + 26, y + 2), (x - 26, y + 2)))
    brush.fill(ellipse(x + 6, y + 3, 44, 8), shade(palette("ground_low")), 0.45)
    brush.paper(pot, palette("accent_2"), 0.6)
    brush.fill(box(x - 39, y - 74, 78, 14, 3), palette("accent_2"))


DESIGN = SetDesign(
    horizon=FLOOR,
    layers=(
        Layer(depth=_WALL_DEPTH, paint=_wall, animate=_weather_outside),
        Layer(depth=1.0, paint=_floor),
        Layer(depth=0.42, paint=_furniture),
    ),
)
