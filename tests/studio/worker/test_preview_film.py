"""Preview films: small, at a constant rate, whatever the video has."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from moc_engine.clip import ClipWriter
from moc_engine.errors import RenderCancelled
from studio.store.clip_file import Picture
from studio.store.footage_stills import preview_stills
from studio.worker.preview_film import KEY_FRAMES, read_preview, write_preview
from studio.worker.running_job import CancelToken
from tests.fakes.footage import COLOURS, drawn_frame, write_footage


def going_on() -> CancelToken:
    return CancelToken(threading.Event())


def stills(preview: Path, frames: list[int], rate: Fraction | int) -> list[Picture]:
    data = np.frombuffer(preview_stills(preview, frames, Fraction(rate)), np.uint8)
    whole = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.split(whole, len(frames), axis=1)


def is_of(picture: Picture, scene: int) -> bool:
    """Whether a picture has the ground of a scene, in its corner."""
    red_green_blue = picture[4, 4, ::-1].astype(int)
    return bool(np.abs(red_green_blue - np.array(COLOURS[scene])).max() < 24)


def test_frames_are_those_of_the_video(tmp_path: Path) -> None:
    rate = Fraction(24000, 1001)
    source = write_footage(tmp_path / "a.mp4", (24, 36, 30), (1280, 720), rate)
    told: list[tuple[float, float | None]] = []
    film = write_preview(source, tmp_path / "p.mp4", lambda *at: told.append(at), going_on())
    assert (film.frames, film.rate, film.size, film.notes) == (90, rate, (1280, 720), ())
    assert told[-1] == (pytest.approx(float(89 / rate), abs=1e-3), pytest.approx(float(90 / rate), abs=0.1))
    frames = [0, 23, 24, 59, 60, 89]
    pictures = stills(tmp_path / "p.mp4", frames, rate)
    assert [is_of(one, scene) for one, scene in zip(pictures, (0, 0, 1, 1, 2, 2), strict=True)] == [True] * 6
    assert pictures[0].shape == (108, 192, 3)
    with av.open(tmp_path / "p.mp4") as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.pts is not None]
    assert all(any(keys[at : at + KEY_FRAMES]) for at in range(0, len(keys) - KEY_FRAMES, KEY_FRAMES))
    assert read_preview(source, tmp_path / "p.mp4") == film


def test_a_rate_that_varies_becomes_constant(tmp_path: Path) -> None:
    """Frames that are shown longer are repeated, so that times stay."""
    source = tmp_path / "vfr.mkv"
    with av.open(source, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, milliseconds in enumerate((0, 100, 200, 1200, 1300, 1400)):
            frame = av.VideoFrame.from_ndarray(drawn_frame(number // 3, number, (64, 48)), format="rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    film = write_preview(source, tmp_path / "p.mp4", lambda *_: None, going_on())
    seconds = film.frames / film.rate
    assert seconds == pytest.approx(1.5, abs=0.2)
    before, after = (round(at * film.rate) for at in (Fraction(11, 10), Fraction(13, 10)))
    first, second = stills(tmp_path / "p.mp4", [before, after], film.rate)
    assert is_of(first, 0)
    assert is_of(second, 1)


def test_a_portrait_video_stays_upright(tmp_path: Path) -> None:
    source = write_footage(tmp_path / "a.mp4", (4,), (360, 640))
    film = write_preview(source, tmp_path / "p.mp4", lambda *_: None, going_on())
    assert film.size == (360, 640)
    with av.open(tmp_path / "p.mp4") as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == (270, 480)


def test_a_preview_that_was_cancelled_leaves_nothing(tmp_path: Path) -> None:
    source = write_footage(tmp_path / "a.mp4")
    cancel = going_on()
    with pytest.raises(RenderCancelled):
        write_preview(source, tmp_path / "films" / "p.mp4", lambda *_: cancel.set(), cancel)
    assert not (tmp_path / "films").exists()
    assert read_preview(source, tmp_path / "films" / "p.mp4") is None


def test_a_preview_that_is_damaged_is_written_again(tmp_path: Path) -> None:
    source = write_footage(tmp_path / "a.mp4")
    (tmp_path / "p.mp4").write_bytes(b"cut off")
    assert read_preview(source, tmp_path / "p.mp4") is None


def test_a_damaged_video_says_where(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    generator = np.random.default_rng(0)
    with ClipWriter(source, (128, 72), 12) as film:
        for _ in range(60):
            film.write(generator.integers(0, 255, (72, 128, 3), dtype=np.uint8))
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    source.write_bytes(bytes(data))
    made = write_preview(source, tmp_path / "p.mp4", lambda *_: None, going_on())
    (note,) = made.notes
    assert note.startswith("The video is damaged near 0:0")
    assert 50 <= made.frames <= 60
