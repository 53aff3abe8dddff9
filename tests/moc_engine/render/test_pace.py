from __future__ import annotations

import time

import pytest

from moc_engine.render.pace import Pace, StageClock


def test_time_left_follows_what_was_measured() -> None:
    pace = Pace()
    assert pace.left({"denoise": 10}) == 0
    with pace.measured("denoise", units=2):
        time.sleep(0.02)
    assert 0.1 <= pace.left({"denoise": 10}) < 2.0
    assert pace.left({"denoise": 10, "decode": 1}) > pace.left({"denoise": 10})


def test_what_fails_teaches_nothing() -> None:
    pace = Pace()
    with pytest.raises(KeyError), pace.measured("denoise"):
        raise KeyError
    assert pace.left({"denoise": 1}) == 0


def test_the_clock_knows_the_stage_and_its_seconds() -> None:
    clock = StageClock()
    clock.begin("load")
    assert clock.begin("denoise") == clock.stage == "denoise"
    time.sleep(0.01)
    seconds = clock.end()
    assert list(seconds) == ["load", "denoise"]
    assert seconds["denoise"] >= 0.01
