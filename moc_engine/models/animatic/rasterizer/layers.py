"""What a set is made of: layers of paper at their depths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moc_engine.models.animatic.rasterizer.brush import Brush


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One sheet. `depth` is its parallax: 0 infinitely far, 1 the stage, above 1 before the characters.

    `paint` is baked once for a shot; `animate` draws on top of it in every frame, with the time in
    seconds, and must be cheap: a few flat shapes. `drift` is how far the sheet sails to the right in
    a second, in stage pixels, and `gust` how much farther in full wind.
    """

    depth: float
    paint: Callable[[Brush], None] | None = None
    animate: Callable[[Brush, float], None] | None = None
    drift: float = 0.0
    gust: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SetDesign:
    """A set: its layers in the order they are laid down, and the row on which they stay joined.

    Layers of depth above 1 are laid down after the characters.
    """

    layers: tuple[Layer, ...]
    horizon: float
