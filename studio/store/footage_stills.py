"""Frames of preview films as small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from studio.domain.errors import DamagedClip
from studio.domain.messages import message
from studio.store.clip_file import Picture, jpeg, open_clip, scaled
from studio.store.filmstrip import HEIGHT


def preview_stills(preview: Path, frames: Sequence[int], rate: Fraction) -> bytes:
    """Frames of a preview film, counted from 0, small and side by side as one JPEG. Raises `DamagedClip`.

    Its key frames lie close together, so few small pictures are decoded for each.
    """
    pictures: dict[int, Picture] = {}
    with open_clip(preview) as (container, track):
        tick = 1 / (rate * (track.time_base or Fraction(1, av.time_base)))
        first = track.start_time or 0
        for frame in sorted(set(frames)):
            wanted = first + round(frame * tick)
            container.seek(wanted, stream=track)
            found = None
            for found in container.decode(track):
                if found.pts is not None and found.pts >= wanted:
                    break
            if found is None:
                raise DamagedClip(message("clip-named-empty", file=preview.name))
            pictures[frame] = scaled(np.asarray(found.to_ndarray(format="bgr24"), dtype=np.uint8), HEIGHT)
    return jpeg(np.concatenate([pictures[frame] for frame in frames], axis=1))
