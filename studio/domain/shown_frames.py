"""Which frames of its take a shot shows."""

from __future__ import annotations

from fractions import Fraction

from studio.domain.storyboard import Shot


def shown_frames(shot: Shot, frames: int, fps: Fraction) -> tuple[int, int]:
    """The first frame of a take of `frames` that a shot shows, and how many it shows, at least one."""
    first = min(round(shot.trim * fps), frames - 1)
    return first, max(1, min(round(shot.seconds * fps), frames - first))
