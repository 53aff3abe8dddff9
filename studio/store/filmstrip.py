"""A strip of small pictures of a clip, side by side in one file: what a timeline shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

PICTURES: Final = 8
HEIGHT: Final = 108
"""Of each picture, in pixels."""

_JPEG_QUALITY: Final = 82


def write_filmstrip(clip: Path, target: Path) -> None:
    """Writes `PICTURES` pictures, from evenly spread moments of the clip, as one JPEG."""
    with av.open(clip) as container:
        frames = container.streams.video[0].frames or sum(1 for _ in container.decode(video=0))
    wanted = [int((number + 0.5) * frames / PICTURES) for number in range(PICTURES)]
    pictures: dict[int, NDArray[Any]] = {}
    with av.open(clip) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                width = max(2, round(HEIGHT * frame.width / frame.height))
                pictures[index] = frame.reformat(width=width, height=HEIGHT, format="bgr24").to_ndarray()
    last = pictures[max(pictures)]
    strip = np.concatenate([pictures.get(index, last) for index in wanted], axis=1)
    _, data = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    target.write_bytes(data.tobytes())
