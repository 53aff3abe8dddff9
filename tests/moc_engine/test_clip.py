from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from moc_engine.clip import PRESET, QUALITY, REPEATABLE, ClipWriter, Frame
from moc_engine.frame_rate import exact_rate

COLOURS = ((200, 60, 40), (30, 160, 90), (240, 240, 240), (10, 20, 120))


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (96, 64)) -> Frame:
    return np.full((size[1], size[0], 3), colour, dtype=np.uint8)


def write(path: Path, fps: float = 24.0, comment: str = "") -> None:
    with ClipWriter(path, (96, 64), fps, comment) as clip:
        for colour in COLOURS:
            clip.write(flat(colour))


def test_frames_come_back_in_their_colours(tmp_path: Path) -> None:
    write(tmp_path / "clip.mp4")
    with av.open(tmp_path / "clip.mp4") as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(frames) == len(COLOURS)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert np.abs(frame.mean(axis=(0, 1)) - colour).max() < 4


@pytest.mark.parametrize("fps", [1.0, 12.0, 24.0, 24_000 / 1001, 29.97, 60_000 / 1001])
def test_the_clip_is_what_players_want(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "clip.mp4"
    write(path, fps, comment='{"title": "Füchse – 狐"}')
    with av.open(path) as clip:
        video = clip.streams.video[0]
        context = video.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (96, 64)
        assert (int(context.colorspace), int(context.color_range)) == (1, 1)
        assert video.average_rate == exact_rate(fps)
        assert video.frames == len(COLOURS)
        assert video.duration is not None
        assert video.time_base is not None
        assert float(video.duration * video.time_base) == pytest.approx(len(COLOURS) / fps, abs=1e-3)
        assert clip.metadata["comment"] == '{"title": "Füchse – 狐"}'
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        write(tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_block_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ClipWriter(tmp_path / "clip.mp4", (96, 64), 24.0) as clip:
        clip.write(flat(COLOURS[0]))
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_wrong_sizes_and_rates_are_refused() -> None:
    for size in ((95, 64), (96, 63), (0, 64), (8, 8), (8194, 64), (64, 8194)):
        with pytest.raises(ValueError, match="size"):
            ClipWriter(Path("clip.mp4"), size, 24.0)
    for fps in (0.0, -1.0, 1e9, float("nan")):
        with pytest.raises(ValueError, match="fps"):
            ClipWriter(Path("clip.mp4"), (96, 64), fps)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frame"), ClipWriter(tmp_path / "clip.mp4", (96, 64), 24.0) as clip:
        clip.write(flat(COLOURS[0], (64, 96)))


@pytest.mark.parametrize("rate", [24, 30, 60])
def test_rates_of_broadcasting_are_exact(tmp_path: Path, rate: int) -> None:
    exact = Fraction(rate * 1000, 1001)
    write(tmp_path / "clip.mp4", float(exact))
    with av.open(tmp_path / "clip.mp4") as clip:
        assert clip.streams.video[0].average_rate == exact


def test_the_headers_are_those_of_the_preset(tmp_path: Path) -> None:
    """A film may join such clips with those of earlier versions, which were encoded by the preset alone."""
    write(tmp_path / "clip.mp4")
    with av.open(tmp_path / "plain.mp4", "w") as plain:
        options = {"preset": PRESET, "crf": QUALITY, "x264-params": REPEATABLE}
        stream = plain.add_stream("libx264", rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        for colour in COLOURS:
            plain.mux(stream.encode(av.VideoFrame.from_ndarray(flat(colour), format="rgb24")))
        plain.mux(stream.encode())
    with av.open(tmp_path / "clip.mp4") as clip, av.open(tmp_path / "plain.mp4") as plain_clip:
        headers = [file.streams.video[0].codec_context.extradata for file in (clip, plain_clip)]
    assert headers[0] is not None
    assert headers[0] == headers[1]
