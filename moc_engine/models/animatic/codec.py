"""The codec of the animatic model: latents to scenes to frames.

Latents describe scenes, not pixels. The conversion between latents and scenes is exact; frames are
interpolated in time and painted at any size and rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.rasterizer.stage import Stage
from moc_engine.models.animatic.scene import Array, Scene

Pixels = NDArray[np.uint8]

LARGEST_SIDE = 8192
"""The largest allowed side of a frame, in pixels."""


class AnimaticCodec:
    """Paints frames of `size` (width, height) at `fps` frames per second; caches plates of the latest shots.

    Raises ValueError for a size or rate out of range.
    """

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        width, height = size
        if not (16 <= width <= LARGEST_SIDE and 16 <= height <= LARGEST_SIDE):
            raise ValueError(f"size: sides must be within 16–{LARGEST_SIDE} pixels, got {width}x{height}")
        if not (isfinite(fps) and 0.0 < fps <= 240.0):
            raise ValueError(f"fps: must be above 0 and at most 240, got {fps}")
        self.size = (int(width), int(height))
        self.fps = float(fps)
        self._plates = PlateCache()

    def frames(self, scene: Scene, seconds: float) -> Iterator[Pixels]:
        """Yields the frames of a shot, (h, w, 3) RGB each, at the middle of each frame's duration."""
        if not (isfinite(seconds) and seconds > 0.0):
            raise ValueError(f"seconds: must be above 0, got {seconds}")
        stage = Stage(scene, self.size, self._plates)
        with ThreadPoolExecutor(1, "finish frames") as others:
            before: Future[Pixels] | None = None
            for i in range(max(1, round(seconds * self.fps))):
                drawing = stage.draw((i + 0.5) / self.fps)
                if before is not None:
                    yield before.result()
                before = others.submit(drawing.finished)
            assert before is not None
            yield before.result()

    def picture(self, scene: Scene, time: float) -> Pixels:
        """The frame at `time` seconds, (h, w, 3) RGB."""
        if not isfinite(time):
            raise ValueError(f"time: must be finite, got {time}")
        return Stage(scene, self.size, self._plates).picture(time)

    def preview(self, scene: Scene, time: float) -> Pixels:
        """Nearly `picture`, in half the time: layers are painted for that moment alone."""
        return Stage(scene, self.size, self._plates, only=time).picture(time)

    @staticmethod
    def encode(scene: Scene) -> Array:
        """The latents (F, SLOTS, CHANNELS) of a scene."""
        return scene.to_latents()

    @staticmethod
    def decode(latents: Array) -> Scene:
        """The scene of latents; exact."""
        return Scene.from_latents(latents)
