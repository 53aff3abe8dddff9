"""The camera as geometry: the position of layer points in the frame.

It is a multiplane camera: when it pans, a layer at depth d shifts d times as far as the stage (d = 1); when
it zooms, a layer grows by the magnification to the power d. The zoom's fixed point is at the characters'
feet, so that bodies fill a close-up and faces stay in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from moc_engine.models.animatic.rasterizer.brush import HORIZON, Bounds

STAGE_UNIT: Final = 640.0
"""Stage pixels per stage unit."""

FEET: Final = 620.0
"""The row of feet at depth 0, in stage pixels; at depth ±1 they are `DEPTH_STEP` lower or higher."""

DEPTH_STEP: Final = 20.0

_ZOOM_ORIGIN: Final = 600.0  # row of the zoom's fixed point
_WIDE: Final = 16 / 9


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The transform of a layer: screen = scale × layer + (x, y)."""

    scale: float
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class View:
    """The camera at one instant, for a frame of `width` × `height` pixels with a `margin` around it.

    `x` and `y` are in stage units, `zoom` is a log2. Frames wider than 16:9 show the whole height of the
    stage and more of its sides; narrower ones show less of its width and more sky and ground, and `gather`
    moves the characters closer together to keep them in view. `horizon` is the row of the stage, in stage
    pixels, on which all layers stay aligned at any zoom.
    """

    width: int
    height: int
    x: float = 0.0
    y: float = 0.0
    zoom: float = 0.0
    margin: int = 0
    horizon: float = HORIZON

    @cached_property
    def reach(self) -> float:
        """Half the width of the frame at zoom 0, in stage units."""
        share = self.width / self.height / _WIDE
        return share if share >= 1.0 else float(share**0.55)

    @property
    def gather(self) -> float:
        """The factor on the characters' x."""
        return float(min(1.0, self.reach) ** 0.6)

    @cached_property
    def unit(self) -> float:
        """The number of frame pixels per stage pixel at zoom 0."""
        return self.width / (2 * STAGE_UNIT * self.reach)

    @cached_property
    def feet(self) -> float:
        """The row of the frame, in pixels, of the zoom's fixed point."""
        tall = 1.0 - 720.0 * self.unit / self.height  # 0 at 16:9 and wider
        return self.height * (_ZOOM_ORIGIN / 720.0 - 0.13 * max(0.0, tall) / 0.4)

    def placement(self, depth: float) -> Placement:
        magnification = 2.0**self.zoom
        stage = self.unit * magnification
        scale = self.unit * 2.0 ** (self.zoom * (depth if depth <= 1.0 else 0.35))
        x = self.margin + self.width / 2 - scale * depth * self.x * STAGE_UNIT
        if depth > 1.0:
            return Placement(scale=scale, x=x, y=self.margin + self.height - scale * 720.0)
        rest = self.feet + self.unit * (self.horizon - _ZOOM_ORIGIN)
        zoomed = (stage - self.unit) * (self.horizon - _ZOOM_ORIGIN) * min(1.0, 0.35 + 3.0 * depth)
        raised = stage * self.y * STAGE_UNIT * (0.45 + 0.55 * depth)
        return Placement(scale=scale, x=x, y=self.margin + rest + zoomed + raised - scale * self.horizon)

    def visible(self, depth: float) -> Bounds:
        """The part of a layer that the frame shows."""
        at = self.placement(depth)
        return Bounds(
            left=-at.x / at.scale,
            top=-at.y / at.scale,
            right=(self.width + 2 * self.margin - at.x) / at.scale,
            bottom=(self.height + 2 * self.margin - at.y) / at.scale,
        )
