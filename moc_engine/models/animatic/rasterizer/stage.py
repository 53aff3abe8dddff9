"""Composes frames: plates of the set, shadows, characters and props by depth, weather and paper texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Final

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.blocking import (
    body_height_px,
    ground_position,
    holder_of,
    prop_position,
)
from moc_engine.models.animatic.rasterizer.brush import HORIZON, Brush
from moc_engine.models.animatic.rasterizer.drawing import Drawing
from moc_engine.models.animatic.rasterizer.figure import draw_character, draw_character_shadow
from moc_engine.models.animatic.rasterizer.framing import Framing
from moc_engine.models.animatic.rasterizer.palette import Climate, Lab, Palette, from_lch, mix, shade
from moc_engine.models.animatic.rasterizer.plates import BakedLayer, PlateCache, surface
from moc_engine.models.animatic.rasterizer.pose import LAG, CharacterPose, Pair, PropPose
from moc_engine.models.animatic.rasterizer.props import draw_prop, draw_prop_shadow
from moc_engine.models.animatic.rasterizer.sets import DESIGNS
from moc_engine.models.animatic.rasterizer.view import Placement, View
from moc_engine.models.animatic.rasterizer.weather import Window, draw_mist, draw_splashes, draw_weather
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, PROP_SLOTS, SETS, Array, Scene, Track
from moc_engine.models.animatic.timeline import Timeline

Pixels = NDArray[np.uint8]

SHEETS: Final = 2
"""Drawings of a shot that exist at a time: one is finished while the next is drawn."""

_CLIMATE_FIELDS: Final = ("sunset", "night", "rain", "snow", "fog", "wind")


class Stage:
    """Paints the frames of a shot's scene: `picture(time)` gives the frame at any time.

    With `only`, plates are no larger than needed at that time, in seconds, for which alone it paints.
    """

    def __init__(
        self, scene: Scene, size: tuple[int, int], cache: PlateCache, *, only: float | None = None
    ) -> None:
        self._timeline = Timeline(scene)
        self._size = size
        self._kind = SETS[int(self._timeline.mean("kind", 1).argmax())]
        design = DESIGNS[self._kind]
        self._framing = Framing(self._timeline, len(scene), size, design.horizon)
        layout = self._timeline.mean("layout", 1)
        self._layout = tuple(round(float(v), 3) for v in layout)
        tint = self._timeline.mean("tint", 1)
        self._tint = (round(float(tint[0]), 4), round(float(tint[1]), 4))
        self._idle_offsets = _idle_offsets(self._timeline.at(0.0))
        margin = self._framing.at(0.0).margin
        shape = (size[1] + 2 * margin, size[0] + 2 * margin, 4)
        sheets = [np.zeros(shape, dtype=np.uint8) for _ in range(1 if only is not None else SHEETS)]
        self._sheets = cycle([(pixels, surface(pixels)) for pixels in sheets])
        self._pixels, self._surface = next(self._sheets)
        views = self._framing.path(self._timeline.seconds) if only is None else [self._framing.at(only)]
        self._climates = self._key_climates()
        self._baked_layers = [
            cache.baked_layers(
                design.layers,
                Palette.of(self._kind, climate),
                self._layout,
                views,
                self._timeline.seconds + 1.0,
            )
            for climate in self._climates
        ]

    def picture(self, time: float) -> Pixels:
        """The frame at `time` seconds, (h, w, 3) RGB."""
        return self.draw(time).finished()

    def draw(self, time: float) -> Drawing:
        """The frame at `time` seconds, unfinished. Its pixels are drawn over `SHEETS` drawings later."""
        self._pixels, self._surface = next(self._sheets)
        values = self._timeline.at(time)
        before = self._timeline.at(time - LAG)
        view = self._framing.at(time)
        climate = self._climate(values)
        palette = Palette.of(self._kind, climate)
        canvas = self._surface.getCanvas()
        self._draw_set(canvas, view, climate, time, front=False)
        window = self._window(view)
        draw_splashes(canvas, palette, window, time)
        draw_mist(canvas, palette, window, time, front=False)
        self._draw_cast(canvas, view, values, before, climate, time)
        self._draw_set(canvas, view, climate, time, front=True)
        draw_mist(canvas, palette, window, time, front=True)
        draw_weather(canvas, palette, window, time)
        return Drawing(
            pixels=self._pixels,
            size=self._size,
            roll=self._framing.roll(time),
            night=climate.night * (0.4 if climate.indoors else 1.0),
        )

    def _key_climates(self) -> tuple[Climate, ...]:
        """The climate of the shot; the first and the last if the light or weather changes."""
        if all(self._timeline.is_constant(name) for name in _CLIMATE_FIELDS):
            return (self._climate(self._timeline.at(0.0)),)
        first, last = self._timeline.at(0.0), self._timeline.at(self._timeline.seconds)
        return (self._climate(first), self._climate(last))

    def _climate(self, values: Array) -> Climate:
        camera = Track(values[None, 0], 0)
        amounts = {name: round(float(camera[name][0]), 2) for name in _CLIMATE_FIELDS}
        excess = amounts["sunset"] + amounts["night"]
        if excess > 1.0:
            amounts["sunset"] = round(amounts["sunset"] / excess, 2)
            amounts["night"] = round(amounts["night"] / excess, 2)
        return Climate(tint=self._tint, indoors=self._kind == "room", airless=self._kind == "moon", **amounts)

    def _climate_position(self, climate: Climate) -> float:
        """The position 0–1 of `climate` between the first and the last climate of the shot."""
        if len(self._climates) == 1:
            return 0.0
        first, last = (
            sum(abs(getattr(climate, n) - getattr(key, n)) for n in _CLIMATE_FIELDS) for key in self._climates
        )
        return float(first / (first + last)) if first + last else 0.0

    def _draw_set(
        self, canvas: skia.Canvas, view: View, climate: Climate, time: float, *, front: bool
    ) -> None:
        position = self._climate_position(climate)
        palette = Palette.of(self._kind, climate)
        self._draw_layers(canvas, self._pixels, self._baked_layers[0], view, palette, time, front=front)
        if position <= 0.0:
            return
        if front:
            canvas.saveLayerAlpha(None, round(255 * position))
            self._draw_layers(canvas, self._pixels, self._baked_layers[1], view, palette, time, front=True)
            canvas.restore()
            return
        later = np.zeros_like(self._pixels)
        other = surface(later)
        self._draw_layers(other.getCanvas(), later, self._baked_layers[1], view, palette, time, front=False)
        cv2.addWeighted(self._pixels, 1.0 - position, later, position, 0.0, self._pixels)

    def _draw_layers(
        self,
        canvas: skia.Canvas,
        pixels: Pixels,
        baked_layers: Sequence[BakedLayer],
        view: View,
        palette: Palette,
        time: float,
        *,
        front: bool,
    ) -> None:
        shown = [baked for baked in baked_layers if (baked.depth > 1.0) == front]
        if not shown:
            return
        placements = [self._layer_placement(baked, view, palette.climate.wind, time) for baked in shown]
        height, width = pixels.shape[:2]
        rows = [height]
        for baked, at in zip(shown[:0:-1], placements[:0:-1], strict=True):
            hidden = baked.plate.hides_from(at, width, height) if baked.plate and not front else rows[0]
            rows.insert(0, min(rows[0], hidden))
        for baked, at, seen in zip(shown, placements, rows, strict=True):
            if baked.plate is not None:
                static = self._framing.is_static and baked.layer.drift == 0.0
                baked.plate.draw(canvas, pixels, at, rows=seen, static=static)
            if baked.layer.animate is not None:
                canvas.save()
                canvas.translate(at.x, at.y)
                canvas.scale(at.scale, at.scale)
                bounds = view.visible(baked.depth)
                brush = Brush(canvas, palette, bounds=bounds, layout=self._layout, fineness=at.scale)
                baked.layer.animate(brush, time)
                canvas.restore()

    def _layer_placement(self, baked: BakedLayer, view: View, wind: float, time: float) -> Placement:
        at = view.placement(baked.depth)
        return replace(at, x=at.x + at.scale * time * (baked.layer.drift + baked.layer.gust * wind))

    def _draw_cast(
        self, canvas: skia.Canvas, view: View, values: Array, before: Array, climate: Climate, time: float
    ) -> None:
        """Draws the shadows, then characters and props from back to front."""
        actors = [
            CharacterPose.from_slot(values[slot], before=before[slot], time=time + self._idle_offsets[i])
            for i, slot in enumerate(CHARACTER_SLOTS)
        ]
        props = [PropPose.from_slot(values[slot], time=time + 0.6 * i) for i, slot in enumerate(PROP_SLOTS)]
        self._draw_shadows(canvas, view, actors, props, climate)
        held: list[list[tuple[PropPose, Pair]]] = [[] for _ in actors]
        loose: list[PropPose] = []
        for prop in props:
            holder = holder_of(prop, actors)
            if holder is not None:
                held[holder].append((prop, prop_position(view, prop)))
            elif prop.presence > 0.02:
                loose.append(prop)
        things: list[tuple[float, int]] = [(actor.depth, i) for i, actor in enumerate(actors)]
        things += [(prop.depth, len(actors) + i) for i, prop in enumerate(loose)]
        for depth, i in sorted(things):
            height = body_height_px(view, depth)
            if i < len(actors):
                actor = actors[i]
                origin = ground_position(view, actor)
                draw_character(canvas, actor, climate, height_px=height, origin=origin, held=held[i])
            else:
                prop = loose[i - len(actors)]
                draw_prop(canvas, prop, climate, height_px=height, origin=prop_position(view, prop))

    def _draw_shadows(
        self,
        canvas: skia.Canvas,
        view: View,
        actors: Sequence[CharacterPose],
        props: Sequence[PropPose],
        climate: Climate,
    ) -> None:
        colour, shear, alpha = _shadow(Palette.of(self._kind, climate))
        for actor in actors:
            if actor.presence > 0.02:
                draw_character_shadow(
                    canvas,
                    actor,
                    height_px=body_height_px(view, actor.depth),
                    origin=ground_position(view, actor),
                    colour=colour,
                    shear=shear,
                    alpha=alpha,
                )
        for prop in props:
            draw_prop_shadow(
                canvas,
                prop,
                height_px=body_height_px(view, prop.depth),
                origin=ground_position(view, prop),
                colour=colour,
                alpha=alpha,
            )

    def _window(self, view: View) -> Window:
        height, width = self._pixels.shape[:2]
        at = view.placement(1.0)
        return Window(width=width, height=height, unit=view.unit, ground=at.y + at.scale * (HORIZON + 12.0))


def _shadow(palette: Palette) -> tuple[Lab, float, float]:
    """The colour, shear and opacity of shadows on the ground: violet in the ground's tone, long at dusk."""
    climate = palette.climate
    ground = palette("ground_low")
    violet = from_lch((0.36 * (1.0 - 0.5 * climate.night) + 0.1 * ground[0], 0.07, 295.0))
    shear = 0.35 * climate.day + 1.25 * climate.sunset - 0.5 * climate.night
    soft = 1.0 - 0.35 * max(climate.rain, climate.snow, climate.fog)
    return mix(shade(ground, 1.4), violet, 0.5), shear, (0.33 + 0.12 * climate.night) * soft


def _idle_offsets(values: Array) -> list[float]:
    """The time offset of each character's idle animation in seconds, derived from the first frame.

    With it, characters do not blink at the same time, nor always at the same time of a shot.
    """
    return [1.7 * i + 100.0 * abs(float(values[slot].sum())) % 3.3 for i, slot in enumerate(CHARACTER_SLOTS)]
