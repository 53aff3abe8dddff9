"""Which colours a shot shows: a feature that can be compared across cuts, without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from moc_engine.clip import Frame
from moc_engine.evaluation.vbench.definitions import Floats

BINS: Final = (4, 16, 16)
"""Of lightness, a and b in CIELAB."""

MOMENTS: Final = 3
"""Frames of a shot that are counted: its first, middle and last."""


def palette(frames: Sequence[Frame]) -> Floats:
    """The square roots of the shares of colours in a shot, which are compared by their cosine."""
    moments = np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)
    colours = [cv2.cvtColor(frames[at], cv2.COLOR_BGR2LAB) for at in moments]
    counts = cv2.calcHist(colours[:1], [0, 1, 2], None, BINS, [0, 256] * 3)
    for other in colours[1:]:
        counts = counts + cv2.calcHist([other], [0, 1, 2], None, BINS, [0, 256] * 3)
    return np.asarray(np.sqrt(counts.ravel() / counts.sum()))
