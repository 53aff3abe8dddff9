import pytest

from moc_engine.training.tuning.run_needs import (
    Measured,
    Prediction,
    StepClock,
    StepTimes,
    continued,
    in_words,
    size_in_words,
)


def test_what_few_layers_need_is_continued_to_all() -> None:
    shallow = [Measured(layers=1, peak=30.0, seconds=0.5), Measured(layers=3, peak=50.0, seconds=0.9)]
    whole = continued(shallow, 11)
    assert (whole.layers, whole.peak) == (11, 130.0)
    assert whole.seconds == pytest.approx(2.5)
    assert continued(shallow[:1], 1) == shallow[0]


def test_the_peak_is_that_of_the_step_or_of_the_change_of_weights() -> None:
    parts = {"weights": 4.0, "optimizer": 8.0, "averages": 2.0, "seconds": 1.0, "rate": 1.0}
    assert Prediction(**parts, step=10.0, changing=3.0).total == 24.0
    assert Prediction(**parts, step=1.0, changing=3.0).total == 17.0


def test_the_time_of_a_step_lies_between_those_that_were_measured() -> None:
    times = StepTimes([(10.0, 2.0), (20.0, 3.0), (40.0, 9.0)])
    assert [times.seconds(work) for work in (10.0, 15.0, 20.0, 30.0)] == [2.0, 2.5, 3.0, 6.0]
    assert times.seconds(80.0) == 18.0
    assert times.seconds(1.0) == 2.0
    assert StepTimes([(10.0, 2.0)]).seconds(20.0) == 4.0


class _Ticking:
    """A clock that goes on by what is told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_time_that_is_left_is_told_from_steps_once_there_are_some() -> None:
    ticking = _Ticking()
    clock = StepClock(now=ticking)
    assert clock.seconds(100.0) is None
    clock.rate = 0.5
    assert clock.seconds(100.0) == 50.0
    for work, took in ((10.0, 60.0), (10.0, 1.0), (20.0, 2.0), (10.0, 1.1)):
        with clock.step(work):
            ticking.seconds += took
    assert clock.seconds(100.0) == pytest.approx(10.0)  # the first step is left out


def test_a_step_that_was_held_up_hardly_changes_the_time_that_is_left() -> None:
    ticking = _Ticking()
    clock = StepClock(now=ticking)
    for work, slower in ((1.0, 9.0), (2.0, 1.0), (1.0, 1.1), (3.0, 7.0), (1.0, 0.9), (1.0, 1.0)):
        with clock.step(work):
            ticking.seconds += 0.5 * work * slower
    assert clock.seconds(10.0) == pytest.approx(5.0, rel=0.2)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.24, "0.2 s"), (42.4, "42 s"), (600, "10 min"), (6180, "1 h 43 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_sizes_in_words() -> None:
    assert size_in_words(31.2 * 2**30) == "31.2 GiB"
    assert size_in_words(740.4 * 2**20) == "740 MiB"
