from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from moc_engine.errors import EngineError
from moc_engine.render.pictures import read_clip, read_picture
from moc_engine.stored_file import LocalFile
from tests.fakes.large_picture import picture_header


def test_a_picture_is_turned_as_its_camera_held_it(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20] = 255
    picture = Image.fromarray(pixels)
    turned = picture.getexif()
    turned[0x0112] = 6  # the right side is up
    picture.save(tmp_path / "fox.png", exif=turned)
    found = read_picture(LocalFile(tmp_path / "fox.png"), "first frame")
    assert found.shape == (60, 40, 3)
    assert (found[:, 20:] == 255).all()


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    file = LocalFile(picture_header(tmp_path / "large.png", (30_000, 30_000)))
    with pytest.raises(EngineError, match=r"the first frame has 30000 × 30000 pixels: .* 80 megapixels"):
        read_picture(file, "first frame")


def test_a_damaged_picture_is_told(tmp_path: Path) -> None:
    file = LocalFile(picture_header(tmp_path / "small.png", (300, 300)))
    with pytest.raises(EngineError, match="the reference picture cannot be read"):
        read_picture(file, "reference picture")
    (tmp_path / "fox.gif").write_bytes(b"GIF89a")
    with pytest.raises(EngineError, match="it is no PNG, JPEG or WebP"):
        read_picture(LocalFile(tmp_path / "fox.gif"), "reference picture")


def raw_clip(file: Path, frames: int) -> Path:
    """A bare stream of H.264, without timestamps; each frame is brighter than the one before."""
    with av.open(str(file), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=8, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for nth in range(frames):
            pixels = np.full((32, 64, 3), 20 * nth, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file


def test_frames_without_timestamps_follow_each_other_by_the_frame_rate(tmp_path: Path) -> None:
    file = LocalFile(raw_clip(tmp_path / "raw.h264", 8))
    with file.local() as path, av.open(str(path)) as clip:
        rate = float(clip.streams.video[0].average_rate or 0)
        assert [frame.time for frame in clip.decode(video=0)] == [None] * 8
    same = read_clip(file, 8, rate, "clip")
    assert [round(frame.mean() / 20) for frame in same] == list(range(8))
    half = read_clip(file, 4, rate / 2, "clip")
    assert [round(frame.mean() / 20) for frame in half] == [1, 3, 5, 7]
