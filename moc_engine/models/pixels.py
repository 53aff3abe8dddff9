"""Frames from the pixels that autoencoders decode, and pictures for them. Shapes: Y and X sides in pixels."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image
from torch import Tensor, uint8

from moc_engine.clip import Frame


def as_frame(pixels_3YX: Tensor) -> Frame:
    """Pixels within -1 and 1 as a frame."""
    levels = ((pixels_3YX.float() + 1) * 127.5).round().clamp(0, 255).to(uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def resized(frame: Frame, size: tuple[int, int]) -> Frame:
    """A frame in another size (width, height)."""
    shrinking = frame.shape[1] > size[0]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size, interpolation=method), dtype=np.uint8)


def cropped(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture with the aspect of `size`: the largest that there is."""
    width, height = picture.size
    across = min(width, round(height * size[0] / size[1]))
    down = min(height, round(width * size[1] / size[0]))
    left, top = (width - across) // 2, (height - down) // 2
    return picture.crop((left, top, left + across, top + down))
