"""Filmstrips for the timeline: frames of a clip side by side in one JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from moc_engine.contract import FilmstripFormat
from studio.store.clip_file import frame_count, jpeg, open_clip, pictures_at

HEIGHT: Final = 108
"""Height of filmstrips and of single frames for the page, in pixels."""

FILMSTRIP: Final = FilmstripFormat(count=8, height=HEIGHT)


def write_filmstrip(clip: Path, target: Path) -> None:
    """Writes the filmstrip of a clip as one JPEG. A renderer writes it faster, from the frames it makes."""
    with open_clip(clip) as (container, track):
        frames = FILMSTRIP.numbers(frame_count(container, track))
    target.write_bytes(jpeg(np.concatenate(pictures_at(clip, frames, HEIGHT), axis=1)))
