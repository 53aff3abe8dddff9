"""Small films with hard cuts, drawn frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from moc_engine.clip import ClipWriter, Frame

COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 210), (220, 200, 60), (150, 60, 180), (30, 190, 190))
"""Of the scenes, in turn."""


def drawn_frame(scene: int, frame: int, size: tuple[int, int]) -> Frame:
    """A ground of the scene's colour, and a square that moves to the right."""
    width, height = size
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = COLOURS[scene % len(COLOURS)]
    side, left = height // 3, (2 * frame) % (width - height // 3)
    picture[side : 2 * side, left : left + side] = 250 - np.array(COLOURS[scene % len(COLOURS)])
    return picture


def write_footage(
    path: Path,
    lengths: Sequence[int] = (24, 36, 30),
    size: tuple[int, int] = (128, 72),
    rate: Fraction | int = 12,
) -> Path:
    """A film of scenes of so many frames each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ClipWriter(path, size, Fraction(rate)) as film:
        for scene, length in enumerate(lengths):
            for frame in range(length):
                film.write(drawn_frame(scene, frame, size))
    return path
