"""Shading of bodies: gradient, stipple, a crescent of shade and a contour in the body's hue."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.body import CONTOUR, Body
from moc_engine.models.animatic.rasterizer.ink import Ink

_Part = Literal["body", "accent", "even"]

STRIPE_DROP: Final = 0.058
STRIPE: Final = 0.036
_WAVE: Final = 0.017
_CRESCENT: Final = skia.Color(188, 172, 204)
_STIPPLE_RECT: Final = skia.Rect.MakeLTRB(-0.7, -0.1, 0.7, 1.3)  # in the body's frame
_STIPPLED_AREA: Final = ((-0.8, -0.1), (0.40, -0.1), (-0.29, 1.3), (-0.8, 1.3))  # where bodies are stippled
_DOTS: Final = (320, 416, 544)  # per side of the texture, for small, medium and large bodies
_TEXELS: Final = (320, 640, 1088)


def fill(colour: int) -> skia.Paint:
    return skia.Paint(Color=colour, AntiAlias=True)


def line(colour: int, width: float) -> skia.Paint:
    """A paint for strokes with round ends and corners."""
    return skia.Paint(
        Color=colour,
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )


def _toned(gradient: skia.Shader) -> skia.Paint:
    """A dithered paint for a gradient: without banding, and Skia's fastest mode."""
    return skia.Paint(Shader=gradient, AntiAlias=True, Dither=True)


def paint_body(
    canvas: skia.Canvas, body: Body, ink: Ink, *, turn: float, light: skia.Point, fineness: float
) -> None:
    """Paints a body in the body's frame.

    `turn` shifts the wave of the accent's edge, in wavelengths; `light` is the unit vector along which the
    shade is offset, in the body's frame; `fineness` is pixels per H.
    """
    path = body.path
    build = body.build
    canvas.drawPath(path, _toned(_gradient(ink.light, ink.body, ink.low)))
    canvas.drawPath(
        body.within(_STIPPLED_AREA),
        skia.Paint(Shader=_stipple(fineness, "body"), Color=ink.grain, AntiAlias=True),
    )
    turn = round(turn * 64) / 64
    dip = body.below(build.dip, _WAVE, turn)
    canvas.drawPath(dip, fill(ink.accent))
    canvas.drawPath(
        dip, skia.Paint(Shader=_stipple(fineness, "accent"), Color=ink.accent_grain, AntiAlias=True)
    )
    stripe = skia.Paint(Color=ink.stripe, AntiAlias=True, Alphaf=0.74)
    canvas.drawPath(body.band(build.dip - STRIPE_DROP, STRIPE, _WAVE, turn), stripe)
    x, y = (0.148 * light.x(), 0.148 * light.y())
    shade = skia.Paint(Color=_CRESCENT, AntiAlias=True, BlendMode=skia.BlendMode.kMultiply)
    canvas.drawPath(body.crescent(-x, -y), shade)
    contour = line(ink.contour, CONTOUR)
    if ink.rim != ink.contour:
        contour.setShader(_rim(ink.rim, ink.contour))
        contour.setDither(True)
    canvas.drawPath(path, contour)


def paint_paper(
    canvas: skia.Canvas, path: skia.Path, tones: tuple[int, int, int], grain: int, fineness: float
) -> None:
    """Fills a small shape with three tones from top left to bottom right, and stipple."""
    box = path.computeTightBounds()
    shader = skia.GradientShader.MakeLinear(
        [skia.Point(box.left(), box.bottom()), skia.Point(box.right(), box.top())],
        list(tones),
        [0.0, 0.55, 1.0],
    )
    canvas.drawPath(path, _toned(shader))
    canvas.drawPath(path, skia.Paint(Shader=_stipple(fineness, "even"), Color=grain, AntiAlias=True))


@lru_cache(maxsize=128)
def _gradient(light: int, body: int, low: int) -> skia.Shader:
    return skia.GradientShader.MakeLinear(
        [skia.Point(-0.42, 1.0), skia.Point(0.34, 0.12)], [light, body, low], [0.0, 0.55, 1.0]
    )


@lru_cache(maxsize=128)
def _rim(rim: int, contour: int) -> skia.Shader:
    return skia.GradientShader.MakeLinear(
        [skia.Point(-0.45, 0.95), skia.Point(0.1, 0.4)], [rim, contour], [0.35, 1.0]
    )


def _stipple(fineness: float, part: _Part) -> skia.Shader:
    """A shader with grain over the body's frame, in the paint's colour."""
    level = 0 if fineness < 230 else 1 if fineness < 480 else 2
    return _stipple_shader(level, part)


@lru_cache(maxsize=8)
def _stipple_shader(level: int, part: _Part) -> skia.Shader:
    mask = _stipple_mask(_DOTS[level], _TEXELS[level], part)
    rows, columns = mask.shape
    image = skia.Image.MakeRasterCopy(
        skia.Pixmap(skia.ImageInfo.MakeA8(columns, rows), mask.tobytes(), columns)
    )
    place = skia.Matrix()
    place.setScaleTranslate(
        _STIPPLE_RECT.width() / columns,
        -_STIPPLE_RECT.height() / rows,
        _STIPPLE_RECT.left(),
        _STIPPLE_RECT.bottom(),
    )
    sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
    tile = skia.TileMode.kRepeat if part == "even" else skia.TileMode.kClamp
    return image.makeShader(tile, tile, sampling, place)


def _stipple_mask(dots: int, texels: int, part: _Part) -> NDArray[np.uint8]:
    """The coverage (texels, texels), top row first: noise with a threshold that depends on the light."""
    x = _STIPPLE_RECT.left() + (np.arange(texels) + 0.5) / texels * _STIPPLE_RECT.width()
    y = _STIPPLE_RECT.bottom() - (np.arange(texels) + 0.5) / texels * _STIPPLE_RECT.height()
    x, y = np.meshgrid(x, y)
    if part == "body":
        across = np.clip((0.03 - 0.85 * x - 0.55 * (y - 0.52)) / 0.62, 0.0, 1.0)
        density = 0.46 * across**1.25
    elif part == "even":
        density = np.full_like(x, 0.22)
    else:
        density = 0.19 + 0.15 * np.clip((0.26 - y) / 0.3, 0.0, 1.0)
    edge = 3.0 * texels / dots
    cover = np.clip((density - _noise(dots, texels)) * edge + 0.5, 0.0, 1.0) * (density > 0.01)
    mask: NDArray[np.uint8] = np.rint(255 * cover).astype(np.uint8)
    return mask


def _noise(dots: int, texels: int) -> NDArray[np.float64]:
    """Uniform noise (texels, texels) within 0–1, one value per dot, with rounded dots."""
    noise = np.random.default_rng(7).random((dots, dots))
    if texels == dots:
        return noise
    spectrum = np.fft.fftshift(np.fft.fft2(noise - 0.5))
    smooth = np.fft.ifft2(np.fft.ifftshift(np.pad(spectrum, (texels - dots) // 2))).real
    ranks = np.empty(smooth.size, dtype=np.int64)
    ranks[np.argsort(smooth, axis=None)] = np.arange(smooth.size)
    even: NDArray[np.float64] = (ranks / (smooth.size - 1)).reshape(smooth.shape)
    return even
