"""A strip of small pictures of a clip, side by side in one file, for a timeline."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from studio.store.clip_file import frame_count, jpeg, open_clip, pictures_at

PICTURES: Final = 8
HEIGHT: Final = 108
"""Of each picture, in pixels."""


def write_filmstrip(clip: Path, target: Path) -> None:
    """Writes `PICTURES` pictures, from evenly spread moments of the clip, as one JPEG."""
    with open_clip(clip) as (container, track):
        frames = frame_count(container, track)
    wanted = [int((number + 0.5) * frames / PICTURES) for number in range(PICTURES)]
    target.write_bytes(jpeg(np.concatenate(pictures_at(clip, wanted, HEIGHT), axis=1)))
