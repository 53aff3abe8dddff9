"""Elements that several sets share: ground, stones, mist and specks in the air."""

from __future__ import annotations

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import Brush
from moc_engine.models.animatic.rasterizer.outlines import ellipse, hashed, smooth
from moc_engine.models.animatic.rasterizer.palette import Lab, lighter, shade

FRONT = 720.0
"""The row of the stage's front edge, in stage pixels."""


def lay_ground(brush: Brush, path: skia.Path, edge: float, far: Lab, near: Lab) -> None:
    """Paints the ground from `edge` at the horizon to the front: light when distant, grainy when near."""
    stops = ((0.0, lighter(far, 0.35), 1.0), (0.4, far, 1.0), (1.0, near, 1.0))
    brush.blend(path, (0.0, edge), (0.0, FRONT), stops)
    brush.grain(path, shade(near, 0.55), (0.0, edge + 10.0), (0.0, FRONT + 60.0), 0.62, 0.85)
    brush.grain(path, lighter(far, 1.1), (0.0, edge + 95.0), (0.0, edge - 12.0), 0.34, 0.8)


def rock(brush: Brush, x: float, y: float, size: float, colour: Lab, seed: int) -> None:
    """Draws a stone with a lit top at (x, y)."""
    wobble = 0.2 * hashed(seed, 93)
    stone = smooth(
        (
            (x - size, y),
            (x - size * 0.75, y - size * (0.45 + wobble)),
            (x - size * 0.1, y - size * 0.72),
            (x + size * 0.62, y - size * (0.42 - wobble)),
            (x + size, y),
        )
    )
    brush.fill(stone, colour)
    with brush.clipped(stone):
        brush.grain(stone, shade(colour, 1.1), (x - size * 0.4, y - size * 0.6), (x + size, y), 1.0)
        brush.grain(stone, lighter(colour, 1.5), (x, y), (x - size * 0.6, y - size * 0.8), 0.6)


def lay_mist(brush: Brush, top: float, bottom: float, colour: Lab, strength: float) -> None:
    """Paints haze that thickens from `top` to `bottom`."""
    bounds = brush.bounds
    band = skia.Path()
    band.addRect(skia.Rect.MakeLTRB(bounds.left, top, bounds.right, bottom + 200.0))
    brush.blend(band, (0.0, top), (0.0, bottom), ((0.0, colour, 0.0), (1.0, colour, strength)))


def floating_specks(brush: Brush, time: float) -> None:
    """Draws floating specks: pollen by day, fireflies at dusk and night."""
    climate = brush.climate
    if max(climate.rain, climate.snow) > 0.5:
        return
    glow = brush.palette.lit(brush.palette("pale"), max(climate.night, climate.sunset))
    for i in range(16):
        x = -620.0 + 80.0 * i + 34.0 * float(np.sin(0.5 * time + 6.3 * hashed(i, 131)))
        y = 270.0 + 280.0 * hashed(i, 132) + 22.0 * float(np.sin(0.7 * time + 6.3 * hashed(i, 133)))
        pulse = 0.5 + 0.5 * float(np.sin(1.7 * time + 6.3 * hashed(i, 134)))
        size = 1.4 + 1.4 * hashed(i, 135)
        if climate.night > 0.5:
            brush.fill(ellipse(x, y, size * 3.6, size * 3.6), glow, 0.16 * pulse)
            brush.fill(ellipse(x, y, size, size), glow, 0.25 + 0.7 * pulse)
        else:
            brush.fill(ellipse(x, y, size, size), glow, 0.25 + 0.35 * pulse)
