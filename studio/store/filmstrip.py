"""Filmstrips for the timeline: frames of a clip side by side in one JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from studio.store.clip_file import frame_count, jpeg, open_clip, pictures_at

FRAMES: Final = 8
"""Frames in a filmstrip."""

HEIGHT: Final = 108
"""Height of filmstrips and of single frames for the page, in pixels."""


def write_filmstrip(clip: Path, target: Path) -> None:
    """Writes `FRAMES` evenly spaced frames of the clip as one JPEG."""
    with open_clip(clip) as (container, track):
        count = frame_count(container, track)
    frames = [int((number + 0.5) * count / FRAMES) for number in range(FRAMES)]
    target.write_bytes(jpeg(np.concatenate(pictures_at(clip, frames, HEIGHT), axis=1)))
