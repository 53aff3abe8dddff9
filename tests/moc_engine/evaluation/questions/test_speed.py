from pathlib import Path

from moc_engine.evaluation.questions.speed import time_frames, time_tracing


def test_frames_are_timed_at_every_size() -> None:
    times = list(time_frames(frames=2))
    assert {t.size for t in times} == {(1280, 720), (640, 360)}
    assert all(0 < t.median <= t.slowest for t in times)


def test_the_time_share_of_recording_in_a_render(tmp_path: Path) -> None:
    timed = time_tracing(tmp_path, shot=2, size=(320, 180), repeats=1)
    assert (timed.shot, timed.seconds > 0) == (2, True)
    assert timed.share < 0.5
