"""Draws the sky of outdoor sets: gradient, sun and moon with rings, clouds, stars and birds."""

from __future__ import annotations

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.layers import Layer
from moc_engine.models.animatic.rasterizer.outlines import box, ellipse, hashed, waves
from moc_engine.models.animatic.rasterizer.palette import DUSK_BAND, GLOW, Lab, from_lch, lighter, mix, shade

CLOUD_DEPTH = 0.12


def paint_sky(brush: Brush, *, glow: float = 1.0) -> None:
    """Paints the gradient from the frame's top to the horizon, with a coral band at dusk."""
    palette, bounds, climate = brush.palette, brush.bounds, brush.climate
    top = min(bounds.top, 0.0)
    dusk = climate.sunset * (1.0 - climate.night) * (1.0 - 0.6 * climate.rain) * (1.0 - 0.4 * climate.fog)
    band = mix(mix(palette.sky_top, palette.sky_low, 0.55), from_lch(DUSK_BAND), 0.9 * dusk)
    upper = mix(mix(palette.sky_top, palette.sky_low, 0.22), from_lch((0.640, 0.095, 352)), 0.8 * dusk)
    start, end = (0.0, top * 0.6), (0.0, HORIZON + 10.0)
    stops = [
        (0.0, palette.sky_top, 1.0),
        (0.34, upper, 1.0),
        (0.68, band, 1.0),
        (1.0, palette.sky_low, 1.0),
    ]
    everything = skia.Path()
    everything.addRect(bounds.rect)
    brush.blend(everything, start, end, stops)
    brush.grain(everything, lighter(palette.sky_low), (0.0, 160.0), (0.0, HORIZON), 0.07 * glow, 0.4)


def paint_disc(brush: Brush, x: float, y: float) -> None:
    """Paints the sun by day, a larger low sun at dusk or the moon at night; (x, y) is the position by day."""
    climate = brush.climate
    low = climate.sunset * (1.0 - climate.night)
    veil = max(climate.rain, 0.55 * climate.snow, 0.6 * climate.fog) * (1.0 - 0.5 * climate.night)
    veil = 1.0 - 0.75 * veil
    y = y + low * (330.0 - y)
    radius = 34.0 + 16.0 * low + 5.0 * climate.night
    sun = mix(from_lch((0.955, 0.055, 92)), from_lch((0.955, 0.060, 86)), low)
    sun = mix(sun, brush.palette.sky_top, (1.0 - veil) * 0.7)
    ring = mix(sun, from_lch(GLOW), climate.night * 0.5)
    strength = (0.17 + 0.06 * low - 0.06 * climate.night) * veil
    for size in (4.3, 3.05, 2.05):
        brush.fill(ellipse(x, y, radius * size, radius * size), ring, strength * 0.75)
    brush.halo(x, y, radius * 2.2, ring, 0.40 * veil)
    if climate.night > 0.5:
        _paint_moon(brush, x, y, radius, veil)
    else:
        brush.fill(ellipse(x, y, radius, radius), sun, 1.0 - 0.7 * climate.rain)
        brush.grain(
            ellipse(x, y, radius, radius),
            from_lch((0.88, 0.09, 80)),
            (x - radius * 0.2, y - radius * 0.2),
            (x + radius, y + radius),
            0.22,
        )


def _paint_moon(brush: Brush, x: float, y: float, radius: float, veil: float) -> None:
    moon = mix(from_lch((0.93, 0.055, 92)), brush.palette.sky_top, 0.5 * (1 - veil))
    face = ellipse(x, y, radius, radius)
    brush.fill(face, moon)
    with brush.clipped(face):
        dim = mix(moon, brush.palette.sky_top, 0.16)
        for dx, dy, size in (
            (-0.38, 0.30, 0.27),
            (0.30, -0.32, 0.20),
            (0.28, 0.42, 0.15),
            (-0.30, -0.42, 0.12),
        ):
            brush.fill(ellipse(x + dx * radius, y + dy * radius, size * radius, size * radius), dim)
        brush.fill(
            skia.Op(
                ellipse(x, y, radius * 1.1, radius * 1.1),
                ellipse(x - 9, y - 6, radius, radius),
                skia.PathOp.kDifference_PathOp,
            ),
            dim,
            0.8,
        )


def paint_stars(brush: Brush, *, lowest: float = 400.0, amount: float | None = None) -> None:
    """Paints small stars, some of them four-pointed, whose number rises with the night."""
    amount = brush.climate.night * (1.0 - 0.8 * brush.climate.rain) if amount is None else amount
    if amount <= 0.02:
        return
    bounds = brush.bounds
    star = from_lch((0.97, 0.03, 95))
    first, last = int(np.floor(bounds.left / 90)), int(np.ceil(bounds.right / 90))
    for i in range(first, last + 1):
        for j in range(int(np.floor(bounds.top / 90)), int(lowest // 90) + 1):
            for k in range(2):
                x = (i + hashed(i, j, k, 1)) * 90.0
                y = (j + hashed(i, j, k, 2)) * 90.0
                size = 0.7 + 1.2 * hashed(i, j, k, 3) ** 3
                alpha = (
                    amount
                    * (0.35 + 0.65 * hashed(i, j, k, 4))
                    * float(np.clip((lowest - y) / 160.0, 0.0, 1.0))
                )
                if hashed(i, j, k, 5) > 0.92:
                    brush.fill(sparkle(x, y, 5.5 * size), star, alpha)
                else:
                    brush.fill(ellipse(x, y, size, size), star, alpha)


def twinkle(brush: Brush, time: float, *, lowest: float = 300.0) -> None:
    """Draws a few large twinkling stars and a shooting star."""
    amount = brush.climate.night * (1.0 - brush.climate.rain) if not brush.climate.airless else 1.0
    if amount <= 0.05:
        return
    star = from_lch((0.98, 0.02, 95))
    for i in range(-8, 9):
        x, y = (i + hashed(i, 11) * 0.8) * 130.0, lowest * hashed(i, 12) * 0.9 + 20.0
        pulse = max(0.0, float(np.sin(2 * np.pi * (time * (0.16 + 0.12 * hashed(i, 13)) + hashed(i, 14)))))
        if pulse > 0.05:
            brush.fill(sparkle(x, y, 4.0 + 5.0 * pulse), star, amount * 0.9 * pulse)
    fall = (time + 4.0) % 7.0 / 0.8  # a shooting star every seven seconds
    if fall < 1.0:
        which = (time + 4.0) // 7.0
        x = -420.0 + 760.0 * hashed(which, 15) + 250.0 * fall
        y = 50.0 + 90.0 * hashed(which, 16) + 92.0 * fall
        tail = 70.0 * float(np.sin(np.pi * fall))
        brush.line(star, 2.4, (x - tail, y - 0.37 * tail), (x, y), alpha=amount * float(np.sin(np.pi * fall)))


def paint_aurora(brush: Brush) -> None:
    """Paints northern lights in the night sky, in the set's accent colour and in green."""
    amount = brush.climate.night * (1.0 - brush.climate.rain) * (1.0 - 0.6 * brush.climate.snow)
    if amount <= 0.05:
        return
    left, right = brush.bounds.left, brush.bounds.right
    accent = brush.palette("accent")
    for k, colour in enumerate(
        (from_lch((0.78, 0.14, 162.0)), mix(accent, from_lch((0.7, 0.12, 190.0)), 0.4))
    ):
        base, tall = 300.0 - 90.0 * k, 210.0 - 30.0 * k
        turn = 0.31 * k + 0.4 * brush.layout[3]
        for x in np.arange(left - 20.0, right + 20.0, 7.0):
            px = float(x)
            y = base + waves(px, (46.0, 870.0, turn), (17.0, 310.0, 2 * turn))
            glow = 0.5 + 0.5 * waves(px, (0.6, 410.0, 0.2 + turn), (0.4, 97.0, turn))
            if glow > 0.02:
                ray = box(px, y - tall, 7.4, tall)
                light = (brush.palette.sky_top[0] + 0.40, colour[1], colour[2])
                stops = ((0.0, light, 0.0), (0.8, light, 0.52 * amount * glow), (1.0, light, 0.0))
                brush.blend(ray, (px, y - tall), (px, y), stops)


def sparkle(x: float, y: float, size: float) -> skia.Path:
    """A four-pointed star."""
    path = skia.Path()
    path.moveTo(x, y - size)
    waist = size * 0.14
    for px, py, qx, qy in (
        (waist, -waist, size, 0.0),
        (waist, waist, 0.0, size),
        (-waist, waist, -size, 0.0),
        (-waist, -waist, 0.0, -size),
    ):
        path.quadTo(x + px, y + py, x + qx, y + qy)
    path.close()
    return path


def cloud_colours(brush: Brush) -> tuple[Lab, Lab]:
    """The colours of a cloud's front and of its darker back."""
    climate, palette = brush.climate, brush.palette
    front = from_lch((0.955, 0.018, 85))
    front = mix(front, from_lch((0.835, 0.105, 48)), climate.sunset)
    front = mix(front, mix(palette.sky_low, from_lch((0.42, 0.06, 262)), 0.55), climate.night)
    heavy = (palette.sky_top[0] * 0.86, palette.sky_top[1] * 0.8, palette.sky_top[2] * 0.8)
    front = mix(front, heavy, 0.92 * climate.rain * (1.0 - climate.night))
    front = mix(front, (front[0] * 0.8, front[1], front[2]), 0.6 * climate.rain * climate.night)
    front = mix(front, palette.sky_low, 0.25 * climate.snow + 0.5 * climate.fog)
    return front, mix(mix(front, palette.sky_top, 0.26), from_lch((0.80, 0.13, 38)), 0.35 * climate.sunset)


def cloud(brush: Brush, x: float, y: float, size: float, seed: int) -> None:
    """Paints a cloud `size` pixels wide around x, with a flat base at y."""
    front, back = cloud_colours(brush)
    brush.fill(_cloud_outline(x + size * 0.02, y, size, seed), front)
    with brush.clipped(_cloud_outline(x + size * 0.02, y, size, seed)):
        inner = _cloud_outline(x + size * 0.11, y + size * 0.08, size * 0.86, seed + 5)
        brush.fill(inner, back, 0.55)
        brush.grain(
            inner, shade(back, 0.6), (x, y - size * 0.1), (x + size * 0.3, y + size * 0.06), 0.25, 0.5
        )


def _cloud_outline(x: float, y: float, size: float, seed: int) -> skia.Path:
    path = skia.Path()
    base = size * 0.15
    path.addRoundRect(skia.Rect.MakeXYWH(x - size / 2, y - base, size, base), base / 2, base / 2)
    builder = skia.OpBuilder()
    builder.add(path, skia.PathOp.kUnion_PathOp)
    for place, radius in ((-0.24, 0.115), (-0.03, 0.185), (0.19, 0.13)):
        radius *= size * (0.9 + 0.25 * hashed(seed, place))
        cx = x + size * (place + 0.05 * (hashed(seed, place, 2) - 0.5))
        builder.add(ellipse(cx, y - base * 0.75, radius, radius), skia.PathOp.kUnion_PathOp)
    return builder.resolve()


def paint_clouds(brush: Brush, *, seed: int = 0, highest: float = 62.0, lowest: float = 205.0) -> None:
    """Paints the clouds of a sky, and a dark cover of clouds above when it rains."""
    climate, bounds = brush.climate, brush.bounds
    span = 390.0
    shift = 300.0 * brush.layout[5]
    first = int(np.floor((bounds.left - shift) / span)) - 1
    last = int(np.ceil((bounds.right - shift) / span)) + 1
    extra = max(0.0, -bounds.top)
    for i in range(first, last + 1):
        x = (i + 0.72 * hashed(i, seed, 21)) * span + shift
        y = highest + (lowest - highest) * hashed(i, seed, 22) - extra * hashed(i, seed, 24)
        cloud(brush, x, y, 112.0 + 140.0 * hashed(i, seed, 23) ** 1.4, i + seed)
    if climate.rain > 0.3:
        for i in range(first, last + 1):
            x = (i + 0.2 + 0.6 * hashed(i, seed, 31)) * span + 0.7 * shift
            cloud(
                brush,
                x,
                bounds.top + 40.0 + 25.0 * hashed(i, 32),
                270.0 + 130.0 * hashed(i, seed, 33),
                i + seed + 50,
            )


CLOUDS = Layer(depth=CLOUD_DEPTH, paint=paint_clouds, drift=4.0, gust=26.0)


def birds(brush: Brush, time: float, x: float, y: float) -> None:
    """Draws three distant birds."""
    if brush.climate.night > 0.5 or brush.climate.rain > 0.5:
        return
    ink = mix(brush.palette("dark"), brush.palette.sky_top, 0.3)
    for i, (dx, dy) in enumerate(((0.0, 0.0), (46.0, -20.0), (92.0, 2.0))):
        beat = 3.0 * float(np.sin(2 * np.pi * (1.3 * time + 0.3 * i)))
        path = skia.Path()
        bx, by = x + dx + 9.0 * time, y + dy
        path.moveTo(bx - 12, by - 3 - beat)
        path.quadTo(bx - 5, by - 7 - beat * 0.3, bx, by)
        path.quadTo(bx + 5, by - 7 - beat * 0.3, bx + 12, by - 3 - beat)
        brush.stroke(path, ink, 2.2)
