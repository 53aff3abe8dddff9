"""A drawn frame before its finish: turned by the camera's roll, cropped, in RGB, with paper texture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from moc_engine.models.animatic.rasterizer.overlay import apply_paper
from moc_engine.models.animatic.rasterizer.plates import Pixels, rgb


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Native `pixels` with a margin around the frame of `size` (width, height); `roll` is in radians.

    `night` is how dark the paper's edges are, 0–1.
    """

    pixels: Pixels
    size: tuple[int, int]
    roll: float
    night: float

    def finished(self) -> Pixels:
        """The frame, (h, w, 3) RGB. Needs no Python lock for most of its time."""
        return apply_paper(rgb(self._turned()), self.night)

    def _turned(self) -> Pixels:
        width, height = self.size
        margin = (self.pixels.shape[1] - width) // 2
        if not margin:
            return self.pixels
        cos, sin = float(np.cos(self.roll)), float(np.sin(self.roll))
        x, y = (width - 1) / 2, (height - 1) / 2
        inverse = np.array(
            [[cos, -sin, margin + x - cos * x + sin * y], [sin, cos, margin + y - sin * x - cos * y]]
        )
        turned = cv2.warpAffine(
            self.pixels, inverse, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        return np.asarray(turned, dtype=np.uint8)
