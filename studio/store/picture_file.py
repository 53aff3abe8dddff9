"""Reads pictures that people add: PNG, JPEG or WebP, of a size that a shot can have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from moc_engine.clip import LONGEST_SIDE
from moc_engine.picture_header import picture_size
from studio.domain.errors import BadPicture
from studio.domain.messages import message
from studio.store.clip_file import Picture

MOST_BYTES: Final = 64 * 2**20


def read_picture(file: Path) -> Picture:
    """The picture in a file, turned as its camera held it. Raises `BadPicture`.

    Its size is read from its header first: what is too large is not decoded.
    """
    if not file.is_file():
        raise BadPicture(message("picture-missing", file=file.name))
    if file.stat().st_size > MOST_BYTES:
        raise BadPicture(message("picture-too-large", most=MOST_BYTES / 2**20))
    with file.open("rb") as stream:
        size = picture_size(stream)
    if size is None:
        raise BadPicture(message("picture-unreadable"))
    width, height = size
    if not 16 <= min(width, height) <= max(width, height) <= LONGEST_SIDE:
        raise BadPicture(message("picture-size", least=16, most=LONGEST_SIDE, width=width, height=height))
    try:
        picture = cv2.imdecode(np.fromfile(file, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BadPicture(message("picture-unreadable")) from error
    if picture is None:
        raise BadPicture(message("picture-unreadable"))
    return np.asarray(picture, dtype=np.uint8)
