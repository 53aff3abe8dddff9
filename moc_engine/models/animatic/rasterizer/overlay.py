"""Paper texture over the finished picture: grain, a vignette and light from the top left.

It is one factor per pixel and channel, multiplied onto the picture.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_NEUTRAL: Final = 200
"""The stored value of factor 1, which leaves a pixel unchanged."""


@lru_cache(maxsize=4)
def paper_factors(width: int, height: int, dark: int) -> Pixels:
    """The factors (height, width, 3) times `_NEUTRAL`; `dark` 0–4 strengthens the vignette at night."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    across = np.hypot((x - 0.5) * 2 * min(1.0, width / height / 1.4), (y - 0.5) * 2)
    edge = np.clip((across - 0.62) / 0.86, 0.0, 1.0) ** 2
    vignette = 1.0 - (0.15 + 0.045 * dark) * edge
    glow = np.exp(-(((x - 0.18) / 0.55) ** 2 + ((y - 0.08) / 0.6) ** 2)) * (0.035 - 0.006 * dark)
    paper = _grain(width, height)
    tones = (1.0, 1.0, 1.0 + 0.05 * edge)
    warmth = (1.25, 1.0, 0.45)
    factors = [
        (vignette * tone + glow * warm + paper) * _NEUTRAL for tone, warm in zip(tones, warmth, strict=True)
    ]
    return np.asarray(np.clip(np.stack(factors, axis=-1), 0, 255), dtype=np.uint8)


def _grain(width: int, height: int) -> NDArray[np.float32]:
    """Fine grain and soft blotches, with a positive mean so that white stays white."""
    rng = np.random.default_rng(11)
    scale = max(0.5, height / 720)
    fine = rng.standard_normal((round(height / scale), round(width / scale))).astype(np.float32)
    fine = cv2.GaussianBlur(fine, (0, 0), 0.55)
    soft = cv2.GaussianBlur(
        rng.standard_normal((height // 6 + 2, width // 6 + 2)).astype(np.float32), (0, 0), 1.4
    )
    fine = cv2.resize(fine / fine.std(), (width, height), interpolation=cv2.INTER_LINEAR)
    soft = cv2.resize(soft / soft.std(), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(0.011 * fine + 0.0035 * soft + 0.007, dtype=np.float32)


def apply_paper(picture: Pixels, night: float) -> Pixels:
    """Applies the paper texture to an (h, w, 3) RGB picture in place."""
    height, width = picture.shape[:2]
    cv2.multiply(picture, paper_factors(width, height, round(4 * night)), picture, 1.0 / _NEUTRAL)
    return picture
