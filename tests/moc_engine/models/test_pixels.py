from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from moc_engine.models.pixels import cropped


@pytest.mark.parametrize(
    ("size", "box"), [((100, 50), (0, 25, 100, 75)), ((20, 40), (25, 0, 75, 100)), ((7, 7), (0, 0, 100, 100))]
)
def test_the_middle_of_a_picture_is_taken(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    left, top, right, bottom = box
    assert np.array_equal(np.asarray(cropped(picture, size)), pixels[top:bottom, left:right])
