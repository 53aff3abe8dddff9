"""Reads pictures that people add: PNG, JPEG or WebP, of a size that a shot can have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from moc_engine.clip import LONGEST_SIDE
from studio.domain.errors import BadPicture
from studio.domain.messages import message
from studio.store.clip_file import Picture

MOST_BYTES: Final = 64 * 2**20

_BEGINNINGS: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


def read_picture(file: Path) -> Picture:
    """The picture in a file, turned as its camera held it. Raises `BadPicture`."""
    if not file.is_file():
        raise BadPicture(message("picture-missing", file=file.name))
    if file.stat().st_size > MOST_BYTES:
        raise BadPicture(message("picture-too-large", most=MOST_BYTES / 2**20))
    data = np.fromfile(file, dtype=np.uint8)
    if not data[:8].tobytes().startswith(_BEGINNINGS):
        raise BadPicture(message("picture-unreadable"))
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BadPicture(message("picture-unreadable")) from error
    if picture is None:
        raise BadPicture(message("picture-unreadable"))
    height, width = picture.shape[:2]
    if not 16 <= min(width, height) <= max(width, height) <= LONGEST_SIDE:
        raise BadPicture(message("picture-size", least=16, most=LONGEST_SIDE, width=width, height=height))
    return np.asarray(picture, dtype=np.uint8)
