"""Reads the pictures and clips that a shot is made from."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
from PIL import Image, ImageOps

from moc_engine.clip import Frame
from moc_engine.errors import EngineError
from moc_engine.picture_header import picture_size
from moc_engine.stored_file import StoredFile

LARGEST_PICTURE: Final = 80_000_000
"""Pixels of the largest picture that is read."""


def read_picture(file: StoredFile, what: str) -> Frame:
    """A picture, turned as its camera says, in RGB; `what` it is in words.

    Raises `EngineError` where it cannot be read, and before it is decoded where it has too many pixels.
    """
    try:
        with file.open() as stream:
            size = picture_size(stream)
            if size is None:
                raise EngineError(f"the {what} cannot be read: it is no PNG, JPEG or WebP")
            if size[0] * size[1] > LARGEST_PICTURE:
                raise EngineError(
                    f"the {what} has {size[0]} × {size[1]} pixels: pictures of up to "
                    f"{LARGEST_PICTURE // 1_000_000} megapixels are read"
                )
            with Image.open(stream) as picture:
                turned = ImageOps.exif_transpose(picture)
                return np.asarray((picture if turned is None else turned).convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise EngineError(f"the {what} cannot be read: {error}") from error


def read_clip(file: StoredFile, count: int, rate: float, what: str) -> list[Frame]:
    """`count` frames of a clip at `rate` a second, in RGB: those shown in the middle of each.

    The last one is repeated where the clip is shorter. A frame without a timestamp follows the one before it
    by the clip's frame rate. Raises `EngineError` where it cannot be read, which tells `what` it is.
    """
    found: list[Frame] = []
    shown: av.VideoFrame | None = None
    try:
        with file.local() as path, av.open(str(path)) as clip:
            between = float(1 / (clip.streams.video[0].average_rate or rate))
            time = -between
            for frame in clip.decode(video=0):
                time = time + between if frame.time is None else frame.time
                while shown is not None and len(found) < count and (len(found) + 0.5) / rate < time:
                    found.append(_rgb(shown))
                shown = frame
                if len(found) == count:
                    break
    except (OSError, IndexError, av.FFmpegError) as error:
        raise EngineError(f"the {what} cannot be read: {error}") from error
    if shown is None:
        raise EngineError(f"the {what} has no frames")
    return found + [_rgb(shown)] * (count - len(found))


def _rgb(frame: av.VideoFrame) -> Frame:
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
