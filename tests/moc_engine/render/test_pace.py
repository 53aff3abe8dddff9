from __future__ import annotations

import pytest

from moc_engine.render.pace import Pace, StageClock


class Seconds:
    """A clock that shows what it is set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_follows_what_was_measured() -> None:
    clock = Seconds()
    pace = Pace(clock)
    assert pace.left({"denoise": 10}) == 0
    with pace.measured("denoise", units=2):
        clock.now += 3.0
    assert pace.left({"denoise": 10}) == pytest.approx(15.0)
    assert pace.left({"denoise": 10, "decode": 1}) > 15.0
    with pace.measured("denoise"):
        clock.now += 2.5
    assert pace.left({"denoise": 1}) == pytest.approx(0.7 * 1.5 + 0.3 * 2.5)


def test_a_block_that_raises_is_not_measured() -> None:
    clock = Seconds()
    pace = Pace(clock)
    with pytest.raises(KeyError), pace.measured("denoise"):
        clock.now += 3.0
        raise KeyError
    assert pace.left({"denoise": 1}) == 0


def test_the_clock_knows_the_stage_and_its_seconds() -> None:
    seconds = Seconds()
    clock = StageClock(seconds)
    clock.begin("load")
    seconds.now = 0.5
    assert clock.begin("denoise") == clock.stage == "denoise"
    seconds.now = 2.0
    assert clock.end() == {"load": 0.5, "denoise": 1.5}
