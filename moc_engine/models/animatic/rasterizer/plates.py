"""Draws a set's layers into plates (pictures) once per shot and composes frames from them.

Plates are premultiplied arrays in Skia's native channel order: Skia draws into them, OpenCV moves them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.brush import Bounds, Brush
from moc_engine.models.animatic.rasterizer.layers import Layer
from moc_engine.models.animatic.rasterizer.palette import Climate, Palette
from moc_engine.models.animatic.rasterizer.view import Placement, View

Pixels = NDArray[np.uint8]

_MOST_PIXELS: Final = 7_000_000
# bounds are rounded outward to multiples of this, so that similar shots share plates
_BOUNDS_STEP: Final = 16.0


NATIVE: Final = skia.ImageInfo.MakeN32Premul(1, 1).colorType()
"""Skia's native channel order; the constant of that name in its Python binding may be another."""

RED_FIRST: Final = bool(skia.kRGBA_8888_ColorType == NATIVE)


def surface(pixels: Pixels) -> skia.Surface:
    """A native premultiplied surface that draws into an (h, w, 4) array.

    The surface does not hold a reference to the array; the caller must.
    """
    height, width = pixels.shape[:2]
    return skia.Surface.MakeRasterDirect(skia.ImageInfo.MakeN32Premul(width, height), pixels, width * 4)


def rgb(pixels: Pixels) -> Pixels:
    """An opaque native picture as (h, w, 3) RGB."""
    code = cv2.COLOR_RGBA2RGB if RED_FIRST else cv2.COLOR_BGRA2RGB
    return np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Plate:
    """The picture of a layer, with `fineness` pixels per stage pixel; pixel (0, 0) is at (`left`, `top`).

    It is opaque from row `solid` on.
    """

    pixels: Pixels
    left: float
    top: float
    fineness: float
    solid: int
    image: skia.Image

    def hides_from(self, at: Placement, width: int, height: int) -> int:
        """The first row of a frame from which this plate hides everything behind it."""
        ratio = at.scale / self.fineness
        x, y = at.x + at.scale * self.left, at.y + at.scale * self.top
        covers = (
            x <= 0.5
            and x + ratio * self.pixels.shape[1] >= width - 0.5
            and y + ratio * self.pixels.shape[0] >= height - 0.5
        )
        first = math.ceil(y + ratio * self.solid) + 2
        return min(height, max(0, first)) if covers else height

    def draw(
        self, canvas: skia.Canvas, frame: Pixels, at: Placement, *, rows: int, static: bool = False
    ) -> None:
        """Draws the plate into the first `rows` of `frame`, whose canvas is `canvas`.

        A `static` plate does not move during the shot; it is aligned to whole pixels to stay sharp.
        """
        ratio = at.scale / self.fineness
        x, y = at.x + at.scale * self.left, at.y + at.scale * self.top
        width = frame.shape[1]
        if static and abs(ratio - 1.0) < 1e-6:
            canvas.save()
            canvas.clipRect(skia.Rect.MakeWH(width, rows))
            canvas.drawImage(self.image, round(x), round(y))
            canvas.restore()
            return
        left, top = max(0, math.floor(x)), max(0, math.floor(y))
        right = min(width, math.ceil(x + ratio * self.pixels.shape[1]))
        bottom = min(rows, math.ceil(y + ratio * self.pixels.shape[0]))
        if right <= left or bottom <= top:
            return
        inverse = np.array(
            [
                [1 / ratio, 0.0, (left - x + 0.5) / ratio - 0.5],
                [0.0, 1 / ratio, (top - y + 0.5) / ratio - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (right - left, bottom - top)
        if self.solid == 0 and size == (width, rows):
            cv2.warpAffine(
                self.pixels, inverse, size, frame[:rows], flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            return
        moved = cv2.warpAffine(self.pixels, inverse, size, flags=flags)
        surface(moved).draw(canvas, left, top)


@dataclass(frozen=True, kw_only=True)
class BakedLayer:
    """A layer with its plate; None if the layer has only animation."""

    depth: float
    plate: Plate | None
    layer: Layer


@dataclass(frozen=True, kw_only=True)
class PlateKey:
    """The cache key of a shot's plates."""

    kind: str
    climate: Climate
    layout: tuple[float, ...]
    spans: tuple[tuple[Bounds, float], ...]


class PlateCache:
    """A cache of plates: draws them and keeps those of the latest shots, up to `budget` bytes."""

    def __init__(self, budget: int = 256 * 2**20) -> None:
        self._kept: OrderedDict[PlateKey, tuple[BakedLayer, ...]] = OrderedDict()
        self._budget = budget

    def baked_layers(
        self,
        layers: Sequence[Layer],
        palette: Palette,
        layout: Sequence[float],
        views: Sequence[View],
        seconds: float,
    ) -> tuple[BakedLayer, ...]:
        """The layers, back to front, with plates large enough for all views over `seconds`."""
        wind = palette.climate.wind
        spans = tuple(
            _visible_span(layer, views, (layer.drift + layer.gust * wind) * seconds) for layer in layers
        )
        key = PlateKey(kind=palette.kind, climate=palette.climate, layout=tuple(layout), spans=spans)
        if key not in self._kept:
            self._kept[key] = tuple(
                BakedLayer(
                    depth=layer.depth, plate=_bake(layer, palette, layout, bounds, fineness), layer=layer
                )
                for layer, (bounds, fineness) in zip(layers, spans, strict=True)
            )
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._bytes() > self._budget:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _bytes(self) -> int:
        return sum(
            s.plate.pixels.nbytes for baked_layers in self._kept.values() for s in baked_layers if s.plate
        )


def _visible_span(layer: Layer, views: Sequence[View], drift: float) -> tuple[Bounds, float]:
    """The part of a layer that any view shows while it drifts, and its pixels per stage pixel."""
    seen = [view.visible(layer.depth) for view in views]
    bounds = Bounds(
        left=math.floor((min(b.left for b in seen) - drift) / _BOUNDS_STEP) * _BOUNDS_STEP,
        top=math.floor(min(b.top for b in seen) / _BOUNDS_STEP) * _BOUNDS_STEP,
        right=math.ceil(max(b.right for b in seen) / _BOUNDS_STEP) * _BOUNDS_STEP,
        bottom=math.ceil(max(b.bottom for b in seen) / _BOUNDS_STEP) * _BOUNDS_STEP,
    )
    scales = [view.placement(layer.depth).scale for view in views]
    most, least = max(scales), min(scales)
    fineness = most if most < 1.5 * least else most / 1.25
    area = (bounds.right - bounds.left) * (bounds.bottom - bounds.top) * fineness**2
    return bounds, fineness * min(1.0, math.sqrt(_MOST_PIXELS / area))


def _bake(
    layer: Layer, palette: Palette, layout: Sequence[float], bounds: Bounds, fineness: float
) -> Plate | None:
    if layer.paint is None:
        return None
    width = math.ceil((bounds.right - bounds.left) * fineness)
    height = math.ceil((bounds.bottom - bounds.top) * fineness)
    pixels = np.zeros((height, width, 4), dtype=np.uint8)
    canvas = surface(pixels).getCanvas()
    canvas.scale(fineness, fineness)
    canvas.translate(-bounds.left, -bounds.top)
    layer.paint(Brush(canvas, palette, bounds=bounds, layout=layout, fineness=fineness))
    del canvas
    return _cropped(pixels, bounds, fineness)


def _cropped(pixels: Pixels, bounds: Bounds, fineness: float) -> Plate | None:
    alpha = pixels[..., 3]
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    pixels = np.ascontiguousarray(pixels[top : rows[-1] + 1, left : columns[-1] + 1])
    gaps = np.flatnonzero((pixels[..., 3] < 255).any(axis=1))
    solid = int(gaps[-1]) + 1 if len(gaps) else 0
    return Plate(
        pixels=pixels,
        left=bounds.left + left / fineness,
        top=bounds.top + top / fineness,
        fineness=fineness,
        solid=solid,
        image=skia.Image.fromarray(
            pixels, NATIVE, skia.kPremul_AlphaType if solid else skia.kOpaque_AlphaType, copy=False
        ),
    )
