from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.contract import StageEvent, StepEvent
from studio.domain.inputs import TakeInputs
from studio.jobs.estimate import TYPICAL, Rates, measured, time_left

INPUTS = TakeInputs(
    model="m",
    caption="x",
    global_caption="",
    cast=(),
    seconds=2.0,
    fps=Fraction(10),
    size=(1000, 500),
    seed=1,
)


@dataclass(frozen=True)
class Take:
    inputs: TakeInputs
    frames: int
    timings: Mapping[str, float]


def take(**timings: float) -> Take:
    return Take(inputs=INPUTS, frames=20, timings=timings)


def test_rates_are_learnt_from_takes() -> None:
    rates = measured(
        [take(memory=1.0, denoise=3.0, decode=5.0, write=1.0, load=99.0), take(denoise=4.0, decode=4.0)]
    )
    assert rates == Rates(denoise=2.0, draw=0.5)
    assert rates.seconds(INPUTS) == pytest.approx(2 * 2.0 + 0.5 * 10)


def test_without_takes_the_typical_rates_hold() -> None:
    assert measured([]) == TYPICAL


def test_progress_climbs_through_the_stages() -> None:
    rates = Rates(denoise=1.0, draw=0.2)
    events: list[StageEvent | StepEvent] = [
        StageEvent(stage="load"),
        StageEvent(stage="memory"),
        StageEvent(stage="denoise"),
        StepEvent(stage="denoise", step=1, steps=2, seconds_left=1.0),
        StepEvent(stage="denoise", step=2, steps=2, seconds_left=0.0),
        StageEvent(stage="decode"),
        StepEvent(stage="decode", step=1, steps=4, seconds_left=1.0),
        StageEvent(stage="write"),
    ]
    assert [rates.done(INPUTS, event) for event in events] == pytest.approx([0, 0, 0, 1, 2, 2, 2.5, 4])


@given(st.floats(0.1, 1e4), st.floats(0, 1), st.floats(0, 1e5))
def test_time_left_is_never_negative_and_ends_at_nothing(total: float, share: float, elapsed: float) -> None:
    assert time_left(share * total, total, elapsed) >= 0
    assert time_left(total, total, elapsed) == 0


def test_time_left_follows_the_clock() -> None:
    assert time_left(0, 100, 0) == pytest.approx(100)
    assert time_left(50, 100, 100) == pytest.approx(50 * 110 / 60)
