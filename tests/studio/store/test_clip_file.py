"""Clips are opened as MP4 and as nothing else, and give the frame that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from moc_engine.clip import ClipWriter
from studio.domain.errors import DamagedClip
from studio.store.clip_file import check_clip, frame_count, open_clip, picture_at, pictures_at
from tests.fakes.renderer import write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Nine frames with a bar that moves 12 pixels to the right with each."""
    write_clip(tmp_path / "clip.mp4", (90, 90, 90), seconds=1.0, fps=9.0, size=(116, 64))
    return tmp_path / "clip.mp4"


def bar(picture: np.ndarray) -> int:
    return int(np.nonzero(picture[picture.shape[0] // 2, :, 0] > 200)[0].min())


def test_a_frame_is_the_one_that_was_asked_for(clip: Path) -> None:
    assert [round(bar(picture_at(clip, frame)) / 12) for frame in range(9)] == list(range(9))
    assert [round(bar(picture) / 12) for picture in pictures_at(clip, [7, 2, 2, 8])] == [7, 2, 2, 8]


def test_the_last_frame_stands_for_those_beyond(clip: Path) -> None:
    assert (picture_at(clip, 99) == picture_at(clip, 8)).all()


def test_a_small_picture_keeps_its_shape(clip: Path) -> None:
    assert picture_at(clip, 0, height=32).shape == (32, 58, 3)


def test_a_clip_that_begins_later_gives_the_same_frames(clip: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    with av.open(clip) as source, av.open(late, "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None and packet.dts is not None:
                packet.pts += round(3 / packet.time_base)
                packet.dts += round(3 / packet.time_base)
                packet.stream = stream
                output.mux(packet)
    assert [round(bar(picture_at(late, frame)) / 12) for frame in (0, 4, 8)] == [0, 4, 8]
    with open_clip(late) as (container, track):
        assert frame_count(container, track) == 9


def a_picture(path: Path, clip: Path) -> None:
    path.with_suffix(".png").write_bytes(b"")
    cv2.imwrite(str(path.with_suffix(".png")), np.zeros((64, 64, 3), np.uint8))
    path.with_suffix(".png").rename(path)


def a_list_of_files(path: Path, clip: Path) -> None:
    path.write_text(f"ffconcat version 1.0\nfile '{clip.name}'\n")


def a_matroska_file(path: Path, clip: Path) -> None:
    with av.open(clip) as source, av.open(path, "w", format="matroska") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)


def another_codec(path: Path, clip: Path) -> None:
    with av.open(clip) as source, av.open(path, "w") as output:
        stream = output.add_stream("mpeg4", rate=9)
        stream.width, stream.height, stream.pix_fmt = 116, 64, "yuv420p"
        for frame in source.decode(video=0):
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def far_too_long(path: Path, clip: Path) -> None:
    write_clip(path, (9, 9, 9), seconds=70.0, fps=1.0, size=(64, 64))


def cut_off(path: Path, clip: Path) -> None:
    path.write_bytes(clip.read_bytes()[:900])


def nothing(path: Path, clip: Path) -> None:
    path.write_bytes(b"")


def not_there(path: Path, clip: Path) -> None:
    """No file at all."""


FOREIGN = (
    a_picture, a_list_of_files, a_matroska_file, another_codec, far_too_long, cut_off, nothing, not_there
)  # fmt: skip


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_what_is_no_clip_is_refused(clip: Path, tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    make(tmp_path / "foreign.mp4", clip)
    with pytest.raises(DamagedClip):
        check_clip(tmp_path / "foreign.mp4")


def test_a_clip_is_a_clip(clip: Path) -> None:
    refused: str | None = None
    try:
        check_clip(clip)
    except DamagedClip as error:
        refused = str(error)
    assert refused is None


def test_every_frame_is_the_one_that_a_player_shows(tmp_path: Path) -> None:
    """Of a clip with many frames that no other one is predicted from, which are passed over if unasked."""
    path = tmp_path / "noise.mp4"
    rng = np.random.default_rng(3)
    base = rng.integers(0, 255, (64, 96, 3))
    with ClipWriter(path, (96, 64), 24) as writer:
        for number in range(24):
            writer.write(np.roll(base, 3 * number, axis=1).astype(np.uint8))
    with av.open(path) as clip:
        played = [frame.to_ndarray(format="bgr24") for frame in clip.decode(video=0)]
    for number, picture in enumerate(played):
        assert np.array_equal(picture_at(path, number), picture)
    for asked in ([5, 9, 17], [23, 0, 11], [2, 99]):
        for number, picture in zip(asked, pictures_at(path, asked), strict=True):
            assert np.array_equal(picture, played[min(number, 23)])
