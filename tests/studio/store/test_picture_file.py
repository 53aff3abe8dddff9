from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.domain.errors import BadPicture
from studio.store.picture_file import read_picture
from tests.fakes.large_picture import picture_header


def code_of(file: Path) -> str:
    with pytest.raises(BadPicture) as error:
        read_picture(file)
    return error.value.message.code


def test_a_picture_is_read_in_the_order_of_opencv(tmp_path: Path) -> None:
    file = tmp_path / "fox.png"
    Image.fromarray(np.full((20, 30, 3), (200, 100, 0), np.uint8)).save(file)
    assert (read_picture(file) == (0, 100, 200)).all()


def test_what_is_too_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(BadPicture) as error:
        read_picture(picture_header(tmp_path / "large.png", (30_000, 30_000)))
    assert error.value.message.code == "picture-size"
    assert error.value.message.params["width"] == 30_000


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.png") == "picture-missing"
    assert code_of(picture_header(tmp_path / "damaged.png", (300, 300))) == "picture-unreadable"
    (tmp_path / "fox.gif").write_bytes(b"GIF89a")
    assert code_of(tmp_path / "fox.gif") == "picture-unreadable"
    assert code_of(picture_header(tmp_path / "small.png", (8, 300))) == "picture-size"
