"""Pictures that tests write, and read back from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture of a file, (height, width, 3) in RGB."""
    picture = cv2.imread(str(path))
    assert picture is not None, f"{path} holds no picture"
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8)


def write_picture(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    """Writes a picture of noise, of so many pixels (width, height)."""
    width, height = size
    shown = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), shown)
    return path
