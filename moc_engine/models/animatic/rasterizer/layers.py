"""The design of a set: layers at different depths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moc_engine.models.animatic.rasterizer.brush import Brush


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a set. `depth` is its parallax: 0 infinitely far, 1 the stage, above 1 in front of it.

    `paint` is drawn once per shot; `animate` draws on top of it in every frame, with the time in
    seconds, and must be cheap: a few flat shapes. `drift` is the layer's motion to the right in stage
    pixels per second, and `gust` what full wind adds to it.
    """

    depth: float
    paint: Callable[[Brush], None] | None = None
    animate: Callable[[Brush, float], None] | None = None
    drift: float = 0.0
    gust: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SetDesign:
    """A set: its layers in drawing order, and the row of the horizon, where the layers stay aligned.

    Layers with a depth above 1 are drawn after the characters.
    """

    layers: tuple[Layer, ...]
    horizon: float
