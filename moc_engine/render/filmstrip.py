"""Gathers the frames of a filmstrip while a clip is decoded."""

from __future__ import annotations

import cv2
import numpy as np

from moc_engine.clip import Frame
from moc_engine.contract import FilmstripFormat


class Filmstrip:
    """Gathers the frames of a strip while a clip of `frames` frames is made."""

    def __init__(self, form: FilmstripFormat, frames: int) -> None:
        self._form = form
        self._numbers = form.numbers(frames)
        self._small: dict[int, Frame] = {}

    def see(self, number: int, frame: Frame) -> None:
        """Shows the next frame of the clip, `number` from 0."""
        if number in self._numbers:
            height, width = frame.shape[:2]
            size = self._form.width((width, height)), self._form.height
            small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            self._small[number] = np.asarray(small, dtype=np.uint8)

    def picture(self) -> Frame:
        """The strip, once all of its frames were seen."""
        return np.concatenate([self._small[number] for number in self._numbers], axis=1)
