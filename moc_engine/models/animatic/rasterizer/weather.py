"""Draws rain, snow, fog and wind as functions of time, in frame pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.outlines import blade
from moc_engine.models.animatic.rasterizer.palette import Climate, Palette, argb, lighter, mix
from moc_engine.models.animatic.rasterizer.plates import NATIVE, RED_FIRST

Floats = NDArray[np.float64]

_DROPS = 190
_FLAKES = 170
_LEAVES = 9


@dataclass(frozen=True, kw_only=True)
class Window:
    """The frame for weather: its size, its pixels per stage pixel and the first row of the ground."""

    width: int
    height: int
    unit: float
    ground: float


def _random_numbers(count: int, seed: int) -> Floats:
    """Random numbers (count, 6) within 0–1, always the same for a seed."""
    return np.random.default_rng(seed).random((count, 6))


_RAIN = _random_numbers(_DROPS, 1)
_SPLASHES = _random_numbers(34, 2)
_SNOW = _random_numbers(_FLAKES, 3)
_GUSTS = _random_numbers(6, 4)
_BLOWN_LEAVES = _random_numbers(_LEAVES, 5)


def draw_mist(canvas: skia.Canvas, palette: Palette, window: Window, time: float, *, front: bool) -> None:
    """Draws moving fog over the ground behind the characters or, thinner, in front of them."""
    fog = palette.climate.fog
    if fog < 0.05 or palette.climate.indoors:
        return
    width, height = window.width, round(window.height * 0.46)
    bank = _fog_picture(width, height, argb(mix(palette.sky_low, (0.97, 0.0, 0.0), 0.35)))
    shift = round(time * (34.0 if front else 17.0) * window.unit + (0.5 * width if front else 0.0)) % width
    top = round(window.ground - height * (0.62 if not front else 0.30))
    paint = skia.Paint(Alphaf=fog * (0.55 if front else 0.85))
    canvas.drawImage(bank, shift - width, top, skia.SamplingOptions(), paint)
    canvas.drawImage(bank, shift, top, skia.SamplingOptions(), paint)


@lru_cache(maxsize=4)
def _fog_picture(width: int, height: int, colour: int) -> skia.Image:
    """A picture of fog in a colour that repeats horizontally every `width` pixels."""
    rng = np.random.default_rng(9)
    coarse = rng.random((5, 12)).astype(np.float32)
    looped = np.concatenate([coarse[:, -3:], coarse, coarse[:, :3]], axis=1)
    wide = cv2.resize(looped, (round(width * 18 / 12), height), interpolation=cv2.INTER_CUBIC)
    start = round(width * 3 / 12)
    cloud = np.clip(wide[:, start : start + width] * 1.5 - 0.25, 0.0, 1.0)
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    alpha = cloud * np.maximum(np.sin(np.pi * rows), 0.0) ** 1.6 * 0.62
    tones = [(colour >> shift & 255) * alpha for shift in ((16, 8, 0) if RED_FIRST else (0, 8, 16))]
    pixels = np.stack([*tones, 255 * alpha], axis=-1).astype(np.uint8)
    return skia.Image.fromarray(np.ascontiguousarray(pixels), NATIVE, skia.kPremul_AlphaType)


def draw_splashes(canvas: skia.Canvas, palette: Palette, window: Window, time: float) -> None:
    """Draws rings where drops hit the ground, behind the characters."""
    rain = palette.climate.rain
    if rain < 0.05 or palette.climate.indoors:
        return
    path = skia.Path()
    for x, y, turn, rate, size, _ in _SPLASHES:
        age = (time * (1.1 + 0.7 * rate) + turn) % 1.0
        cycle = np.floor(time * (1.1 + 0.7 * rate) + turn)
        px = (x + 0.377 * cycle) % 1.0 * window.width
        row = window.ground + (0.1 + 0.9 * y) * (window.height - window.ground)
        radius = (3.0 + 13.0 * age) * (0.6 + 0.8 * y) * window.unit * (0.7 + 0.6 * size)
        if age < 0.8:
            path.addOval(skia.Rect.MakeLTRB(px - radius, row - radius * 0.3, px + radius, row + radius * 0.3))
    ink = mix(lighter(palette.sky_low), (0.9, -0.01, -0.02), 0.5)
    canvas.drawPath(path, _stroke(argb(ink, 0.40 * rain), 1.3 * window.unit))


def draw_weather(canvas: skia.Canvas, palette: Palette, window: Window, time: float) -> None:
    """Draws rain, snow and wind in front of the characters."""
    climate = palette.climate
    if climate.indoors:
        return
    if climate.rain > 0.05:
        _draw_rain(canvas, palette, window, time)
    if climate.snow > 0.05:
        _draw_snow(canvas, climate, window, time)
    if climate.wind > 0.05:
        _draw_wind(canvas, palette, window, time)


def _draw_rain(canvas: skia.Canvas, palette: Palette, window: Window, time: float) -> None:
    climate, unit = palette.climate, window.unit
    slant = -0.26 - 0.35 * climate.wind
    ink = mix(lighter(palette.sky_low, 1.5), (0.95, -0.005, -0.015), 0.6)
    shown = _RAIN[: max(1, round(_DROPS * climate.rain))]
    for near in range(2):
        rows = shown[(shown[:, 2] > 0.6) == bool(near)]
        length = (17.0 + 12.0 * near + 10.0 * rows[:, 3]) * unit
        speed = (900.0 + 420.0 * near) * unit * (0.9 + 0.2 * rows[:, 4])
        tall = window.height + 80.0 * unit
        fallen = rows[:, 1] * tall + speed * time
        y = fallen % tall - 40.0 * unit
        wide = window.width * 1.2
        x = (
            rows[:, 0] * wide + slant * speed * time + 0.311 * wide * np.floor(fallen / tall)
        ) % wide - 0.1 * window.width
        path = skia.Path()
        for px, py, size in zip(x.tolist(), y.tolist(), length.tolist(), strict=True):
            path.moveTo(px, py)
            path.lineTo(px + slant * size, py + size)
        canvas.drawPath(path, _stroke(argb(ink, 0.34 + 0.20 * near), (1.3 + 0.9 * near) * unit))


def _draw_snow(canvas: skia.Canvas, climate: Climate, window: Window, time: float) -> None:
    unit = window.unit
    shown = _SNOW[: max(1, round(_FLAKES * climate.snow))]
    size = 1.3 + 2.3 * shown[:, 2] ** 2 + 3.5 * (shown[:, 2] > 0.94)
    speed = (26.0 + 17.0 * size) * unit
    tall = window.height + 30.0 * unit
    fallen = shown[:, 1] * tall + speed * time
    y = fallen % tall - 15.0 * unit
    sway = 13.0 * unit * np.sin(time * (0.7 + 0.6 * shown[:, 3]) + 6.28 * shown[:, 4])
    wide = window.width * 1.1
    blown = (14.0 + 190.0 * climate.wind) * unit * (0.5 + 0.22 * size) * time
    x = (
        shown[:, 0] * wide + sway + blown + 0.37 * wide * np.floor(fallen / tall)
    ) % wide - 0.05 * window.width
    for big, alpha in ((False, 0.92), (True, 0.62)):
        path = skia.Path()
        for px, py, radius in zip(x.tolist(), y.tolist(), (size * unit).tolist(), strict=True):
            if (radius > 4.5 * unit) == big:
                path.addCircle(px, py, radius)
        white = 0xFFFFFF | round(255 * alpha * (1.0 - 0.25 * climate.night)) << 24
        canvas.drawPath(path, skia.Paint(Color=white, AntiAlias=True))


def _draw_wind(canvas: skia.Canvas, palette: Palette, window: Window, time: float) -> None:
    """Draws long curved lines of wind and blown leaves."""
    unit, wind = window.unit, palette.climate.wind
    path = skia.Path()
    for turn, y, size, curl, _, rate in _GUSTS:
        life = (time * (0.30 + 0.14 * rate) + turn) % 1.0
        shown = float(np.sin(np.pi * min(1.0, life * 1.6)))
        if shown <= 0.02:
            continue
        length = (150.0 + 190.0 * size) * unit
        head = (life * 1.5 - 0.2) * (window.width + length)
        row = (0.16 + 0.62 * y) * window.height
        tail = head - length * shown
        path.moveTo(tail, row)
        bow = (10.0 + 16.0 * curl) * unit
        path.cubicTo(
            tail + 0.3 * (head - tail),
            row - bow,
            head - 0.3 * (head - tail),
            row + bow,
            head,
            row - 0.3 * bow,
        )
        if curl > 0.5:
            loop = 13.0 * unit
            path.cubicTo(
                head + 2 * loop,
                row - bow,
                head + 1.6 * loop,
                row - bow - 2 * loop,
                head + 0.2 * loop,
                row - bow - loop,
            )
    canvas.drawPath(path, _stroke(argb(lighter(palette.sky_low, 2.0), 0.55 * wind), 2.4 * unit))
    leaf = palette("leaf") if not palette.climate.airless else palette("ground")
    for k, (turn, y, size, rate, sway, spin) in enumerate(_BLOWN_LEAVES):
        along = (turn + time * (0.22 + 0.16 * rate)) % 1.0
        px = (along * 1.16 - 0.08) * window.width
        py = (0.12 + 0.74 * y) * window.height + 26.0 * unit * np.sin(3.1 * time + 6.28 * sway)
        canvas.save()
        canvas.translate(px, float(py))
        canvas.rotate(float(np.degrees(2.6 * time * (0.6 + spin) + 6.28 * turn)))
        scale = unit * (0.7 + 0.7 * size)
        canvas.scale(scale, scale * float(0.45 + 0.55 * abs(np.sin(2.1 * time + 6.28 * rate))))
        colour = palette("leaf_low") if k % 3 == 0 else palette("accent_2") if k % 3 == 1 else leaf
        canvas.drawPath(
            blade(0.0, 9.0, 18.0, 6.5, 0.0, 3.0), skia.Paint(Color=argb(colour, wind), AntiAlias=True)
        )
        canvas.restore()


def _stroke(colour: int, width: float) -> skia.Paint:
    return skia.Paint(
        Color=colour,
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
    )
