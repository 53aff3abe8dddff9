"""Frames of a shot: at the model's rate by their times, and of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moc_engine.clip import Frame
from moc_engine.training.data.footage.shot_frames import shot_frames
from moc_engine.training.data.footage.video_reading import UnreadableVideo
from tests.fakes.footage_clips import write_clip, write_encoded, write_turned


def counted(count: int, size: tuple[int, int] = (64, 48)) -> list[Frame]:
    """Frames whose brightness tells their number."""
    return [np.full((size[1], size[0], 3), 16 + 6 * nth, dtype=np.uint8) for nth in range(count)]


def numbers(frames: list[Frame]) -> list[int]:
    return [round((float(frame.mean()) - 16) / 6) for frame in frames]


def test_frames_at_their_own_rate_are_all_taken(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", counted(20), 16)
    assert numbers(shot_frames(clip, 0.0, 17, 16.0, (64, 48))) == list(range(17))
    assert numbers(shot_frames(clip, 0.25, 9, 16.0, (64, 48))) == list(range(4, 13))


@pytest.mark.parametrize("rate", [12, 24, 30])
def test_other_rates_are_resampled_by_time(tmp_path: Path, rate: int) -> None:
    """The frame that is shown in the middle of each new one's time."""
    clip = write_clip(tmp_path / "a.mp4", counted(36), rate)
    found = numbers(shot_frames(clip, 0.0, 17, 16.0, (64, 48)))
    assert found == [int((nth + 0.5) / 16 * rate) for nth in range(17)]


def test_uneven_times_are_resampled_by_time(tmp_path: Path) -> None:
    times = [0, 100, 200, 300, 700, 720, 740, 1000, 1100]
    clip = write_encoded(tmp_path / "a.mkv", counted(len(times)), milliseconds=times)
    found = numbers(shot_frames(clip, 0.0, 9, 8.0, (64, 48)))
    assert found == [max(n for n, t in enumerate(times) if t <= (nth + 0.5) * 125) for nth in range(9)]


def test_the_middle_is_cropped_and_resized(tmp_path: Path) -> None:
    frame = np.zeros((48, 96, 3), dtype=np.uint8)
    frame[:, 32:64] = 200  # the middle square, and a bit
    clip = write_clip(tmp_path / "a.mp4", [frame] * 6, 16)
    (found, *_) = shot_frames(clip, 0.0, 5, 16.0, (32, 48))
    assert found.shape == (48, 32, 3)
    assert found[:, 4:-4].min() > 150
    (small, *_) = shot_frames(clip, 0.0, 5, 16.0, (16, 16))
    assert small.shape == (16, 16, 3)


def test_a_turned_clip_is_portrait(tmp_path: Path) -> None:
    clip = write_turned(tmp_path / "a.mp4", counted(6))
    assert shot_frames(clip, 0.0, 5, 16.0, (48, 64))[0].shape == (64, 48, 3)


def test_a_file_that_ends_before_is_told(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", counted(10), 16)
    assert len(shot_frames(clip, 0.0, 10, 16.0, (64, 48))) == 10
    with pytest.raises(UnreadableVideo, match="ends before"):
        shot_frames(clip, 0.0, 17, 16.0, (64, 48))
    with pytest.raises(UnreadableVideo, match="ends before"):
        shot_frames(clip, 5.0, 5, 16.0, (64, 48))


def test_reading_is_ended_by_the_check(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", counted(10), 16)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shot_frames(clip, 0.0, 5, 16.0, (64, 48), check=interrupt)
