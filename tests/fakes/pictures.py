"""Pictures read back from files that tests wrote."""

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
