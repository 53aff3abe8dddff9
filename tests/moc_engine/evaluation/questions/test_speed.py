from pathlib import Path

import pytest

from moc_engine.evaluation.questions.speed import time_attention, time_frames, time_late_shot, time_tracing


def test_frames_are_timed_at_every_size() -> None:
    times = list(time_frames(frames=2))
    assert {t.size for t in times} == {(1280, 720), (640, 360)}
    assert all(0 < t.median <= t.slowest for t in times)


def test_attention_attends_to_fewer_pairs() -> None:
    timed = time_attention(context=2048, queries=256, heads=1, width=16, repeats=1)
    assert timed.pairs == pytest.approx(2304 / (256 + 5 * 256))
    assert timed.efficiency == pytest.approx(timed.faster / timed.pairs)


def test_an_early_and_a_late_shot_of_one_story(tmp_path: Path) -> None:
    timed = time_late_shot(tmp_path, late=3, repeats=1)
    assert (timed.early, timed.late) == (2, 3)
    assert min(timed.early_seconds, timed.late_seconds) > 0


def test_the_time_share_of_recording_in_a_render(tmp_path: Path) -> None:
    timed = time_tracing(tmp_path, shot=2, size=(320, 180), repeats=1)
    assert (timed.shot, timed.seconds > 0) == (2, True)
    assert timed.share < 0.5
