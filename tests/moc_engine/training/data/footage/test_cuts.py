"""Cuts are found at the frame where they are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cuts import Cut, detect_cuts
from tests.fakes.footage_clips import UNREADABLE, moving, write_clip, write_encoded, write_shots


def test_hard_cuts_are_found_where_they_are(tmp_path: Path) -> None:
    lengths = (30, 47, 24, 60, 36)
    cuts = detect_cuts(write_shots(tmp_path / "a.mp4", lengths, size=(128, 80)))
    assert [cut.seconds for cut in cuts] == pytest.approx([length / 24 for length in lengths], abs=1e-4)
    assert cuts[0].start_seconds == 0.0
    assert all(one.end_seconds == after.start_seconds for one, after in pairwise(cuts))


def test_a_video_without_cuts_is_one_piece(tmp_path: Path) -> None:
    assert detect_cuts(write_clip(tmp_path / "a.mp4", moving(1, 36))) == (
        Cut(start_seconds=0.0, end_seconds=1.5),
    )
    one = detect_cuts(write_encoded(tmp_path / "b.mp4", moving(1, 1)))
    assert [cut.start_seconds for cut in one] == [0.0]
    assert one[0].seconds > 0


def test_pieces_have_a_shortest_length(tmp_path: Path) -> None:
    clip = write_shots(tmp_path / "a.mp4", (30, 6, 30), size=(128, 80))
    assert len(detect_cuts(clip, shortest=0.2)) == 3
    assert len(detect_cuts(clip, shortest=0.5)) == 2
    assert len(detect_cuts(clip, threshold=250.0)) == 1


def test_times_of_a_variable_rate_count(tmp_path: Path) -> None:
    frames = [*moving(1, 10, (128, 80)), *moving(2, 10, (128, 80))]
    times = [*range(0, 400, 40), *range(1000, 2000, 100)]
    cuts = detect_cuts(write_encoded(tmp_path / "a.mkv", frames, milliseconds=times))
    assert [(cut.start_seconds, cut.end_seconds) for cut in cuts] == [(0.0, 1.0), (1.0, pytest.approx(2.0))]


def test_progress_is_told_and_ends_the_work(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", moving(1, 24))
    told: list[tuple[float, float | None]] = []
    detect_cuts(clip, report=lambda done, whole: told.append((done, whole)))
    assert told[-1] == (pytest.approx(23 / 24), 1.0)

    def interrupt(done: float, whole: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_cuts(clip, report=interrupt)


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    file = make(tmp_path / "a.mp4")
    with pytest.raises(FootageError, match=str(file)):
        detect_cuts(file)


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="threshold"):
        detect_cuts(tmp_path / "a.mp4", threshold=0)
    with pytest.raises(ValueError, match="shortest"):
        detect_cuts(tmp_path / "a.mp4", shortest=-1)
