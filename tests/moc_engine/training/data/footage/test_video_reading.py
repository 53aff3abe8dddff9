"""Video files of any kind are read, or refused in words; nothing is made up for what cannot be decoded."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from moc_engine.training.data.footage.video_reading import UnreadableVideo, VideoFacts, VideoReader
from tests.fakes.footage_clips import (
    SIZE,
    UNREADABLE,
    cut_off,
    damaged,
    moving,
    write_clip,
    write_encoded,
    write_turned,
)


def read(
    path: Path, start: float = 0.0, end: float | None = None
) -> tuple[VideoFacts, list[float], list[float]]:
    """The facts, the times of the frames, and the times of what is broken."""
    with VideoReader(path) as video:
        times = [timed.seconds for timed in video.frames(start, end)]
        return video.facts, times, video.broken


def difference(found: np.ndarray, made: np.ndarray) -> float:
    """In brightness: colours are stored at half the size."""
    return float(np.abs(found.mean(2) - made.mean(2)).mean())


def test_frames_come_with_their_times(tmp_path: Path) -> None:
    frames = moving(3, 30)
    facts, times, broken = read(write_clip(tmp_path / "a.mp4", frames))
    assert facts == VideoFacts(size=SIZE, seconds=1.25, rate=24.0)
    assert times == pytest.approx([nth / 24 for nth in range(30)])
    assert broken == []
    with VideoReader(tmp_path / "a.mp4") as video:
        for timed, made in zip(video.frames(), frames, strict=True):
            assert difference(timed.frame, made) < 8


def test_a_piece_begins_with_the_frame_shown_then(tmp_path: Path) -> None:
    frames = moving(3, 48)
    clip = write_clip(tmp_path / "a.mp4", frames)
    with VideoReader(clip) as video:
        for start, end in ((1.0, 1.5), (0.5, 0.75), (1.01, 1.5), (1.959, None)):
            found = list(video.frames(start, end))
            first = int(start * 24)
            assert difference(found[0].frame, frames[first]) < difference(found[0].frame, frames[first - 1])
            assert found[0].seconds == pytest.approx(start, abs=0.002)
            assert len(found) == (48 if end is None else round(end * 24)) - first
        assert list(video.frames(7.0)) == []


def test_frames_are_reduced(tmp_path: Path) -> None:
    with VideoReader(write_clip(tmp_path / "a.mp4", moving(3, 2))) as video:
        assert next(video.frames(longest_side=32)).frame.shape == (24, 32, 3)
        assert next(video.frames(longest_side=320)).frame.shape == (48, 64, 3)


def test_a_turned_clip_is_read_upright(tmp_path: Path) -> None:
    frames = moving(5, 8)
    with VideoReader(write_turned(tmp_path / "a.mp4", frames)) as video:
        assert video.facts.size == (48, 64)
        assert difference(next(video.frames()).frame, np.rot90(frames[0], -1)) < 8


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_other_pixel_formats(tmp_path: Path, pixels: str) -> None:
    frames = moving(5, 4)
    with VideoReader(write_encoded(tmp_path / "a.mp4", frames, pixels=pixels)) as video:
        assert video.facts.hdr is None
        found = [timed.frame for timed in video.frames()]
    assert len(found) == 4
    assert difference(found[2], frames[2]) < 8


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_told(tmp_path: Path, transfer: int, name: str) -> None:
    clip = write_encoded(tmp_path / "a.mp4", moving(5, 3), pixels="yuv420p10le", transfer=transfer)
    assert read(clip)[0].hdr == name


def test_odd_sizes_one_frame_and_long_pixels(tmp_path: Path) -> None:
    odd = write_encoded(tmp_path / "odd.mkv", moving(1, 3, (63, 47)), codec="mpeg4")
    with VideoReader(odd) as video:
        assert next(video.frames()).frame.shape == (47, 63, 3)
    assert read(write_encoded(tmp_path / "one.mp4", moving(1, 1)))[1] == [0.0]
    wide = write_encoded(tmp_path / "wide.mp4", moving(1, 3), aspect=Fraction(4, 3))
    with VideoReader(wide) as video:
        assert video.facts.size == (85, 48)
        assert next(video.frames()).frame.shape == (48, 85, 3)


def test_variable_rates_keep_their_times(tmp_path: Path) -> None:
    times = [0, 40, 80, 300, 340, 380, 1000, 1040, 1080, 2000]
    clip = write_encoded(tmp_path / "a.mkv", moving(1, len(times)), milliseconds=times)
    assert read(clip)[1] == pytest.approx([time / 1000 for time in times])
    assert read(clip, 0.5, 1.06)[1] == pytest.approx([0.5, 1.0, 1.04])


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_told(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(UnreadableVideo, match=r"^(is|has) "):
        VideoReader(make(tmp_path / "a.mp4"))


def test_what_is_not_there_is_the_disks_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        VideoReader(tmp_path / "a.mp4")


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    clip = damaged(write_clip(tmp_path / "a.mp4", moving(0, 48)), share=0.6)
    _, times, broken = read(clip)
    assert 0 < len(times) <= 48
    assert broken
    assert all(0 <= at <= 2.0 for at in broken)


def test_the_end_of_a_file_that_was_cut_off_is_missing(tmp_path: Path) -> None:
    facts, times, _ = read(cut_off(write_clip(tmp_path / "a.mp4", moving(0, 48)), share=0.8))
    assert facts.seconds == 2.0
    assert times[-1] < 1.9
