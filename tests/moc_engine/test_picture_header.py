from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moc_engine.picture_header import picture_size
from tests.fakes.large_picture import picture_header


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_the_size_is_read_from_the_header(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"fox.{ending}"
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(file)
    with file.open("rb") as stream:
        assert picture_size(stream) == (50, 30)
        assert stream.tell() == 0


def test_no_picture_is_too_large_to_be_told(tmp_path: Path) -> None:
    with picture_header(tmp_path / "large.png", (30_000, 30_000)).open("rb") as stream:
        assert picture_size(stream) == (30_000, 30_000)


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00", b"RIFF\x00\x00\x00\x00WEBP"]
)
def test_what_is_no_picture_has_no_size(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(data)
    with (tmp_path / "fox.png").open("rb") as stream:
        assert picture_size(stream) is None
