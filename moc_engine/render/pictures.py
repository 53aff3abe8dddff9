"""Reads pictures and clips that a shot starts from."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from moc_engine.clip import Frame
from moc_engine.errors import EngineError
from moc_engine.stored_file import StoredFile

LARGEST_PICTURE: Final = 100_000_000
"""Pixels of the largest picture that is read."""


def read_picture(file: StoredFile) -> Frame:
    """A picture, turned as its camera says, in RGB. Raises `EngineError` where it cannot be read."""
    try:
        with file.open() as stream, Image.open(stream) as picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise EngineError(f"first frame: {picture.width} × {picture.height} pixels are too many")
            turned = ImageOps.exif_transpose(picture)
            return np.asarray((picture if turned is None else turned).convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise EngineError(f"the first frame cannot be read: {error}") from error


def read_clip(file: StoredFile, count: int, rate: float) -> list[Frame]:
    """`count` frames of a clip at `rate` a second, in RGB: those shown in the middle of each.

    The last one is repeated where the clip is shorter. Raises `EngineError` where it cannot be read.
    """
    found: list[Frame] = []
    shown: av.VideoFrame | None = None
    try:
        with file.local() as path, av.open(str(path)) as clip:
            for frame in clip.decode(video=0):
                while shown is not None and len(found) < count and (len(found) + 0.5) / rate < frame.time:
                    found.append(_rgb(shown))
                shown = frame
                if len(found) == count:
                    break
    except (OSError, IndexError, av.FFmpegError) as error:
        raise EngineError(f"the clip to start from cannot be read: {error}") from error
    if shown is None:
        raise EngineError("the clip to start from has no frames")
    return found + [_rgb(shown)] * (count - len(found))


def _rgb(frame: av.VideoFrame) -> Frame:
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
