"""Helpers for motion: easing and angles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.scene import Track

Times = NDArray[np.float64]


def set_angle(track: Track, name: str, radians: Times) -> None:
    """Writes an angle to a field as its cosine and sine."""
    track[name][:, 0] = np.cos(radians)
    track[name][:, 1] = np.sin(radians)


def smoothstep(u: Times | float) -> Times:
    """A smooth step from 0 (at and below 0) to 1 (at and above 1)."""
    u = np.clip(np.asarray(u, dtype=np.float64), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)
