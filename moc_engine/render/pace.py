"""Measures the stages of a render, and estimates the time left from earlier renders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from moc_engine.contract import Stage, StepEvent

_KEPT: Final = 0.7
"""The weight of the earlier rate against a new measurement."""

_GUESSES: Final[Mapping[Stage, float]] = {"decode": 0.03}
"""Rates before anything was measured."""


class Pace:
    """Seconds per unit of a stage: a take read, a denoising step, a megapixel decoded."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._rates: dict[Stage, float] = {}

    @contextmanager
    def measured(self, stage: Stage, units: float = 1.0) -> Iterator[None]:
        """Measures the block, which does `units` units of the stage; not counted if it raises."""
        began = self._clock()
        yield
        rate = (self._clock() - began) / units
        self._rates[stage] = _KEPT * self._rates.get(stage, rate) + (1 - _KEPT) * rate

    def left(self, units: Mapping[Stage, float]) -> float:
        """Estimated seconds for these units of each stage; a stage never measured counts as 0."""
        return sum(self._rates.get(stage, _GUESSES.get(stage, 0.0)) * n for stage, n in units.items())


class WorkLeft:
    """The work of one render that is not done yet, by stage, in the units of `Pace`."""

    def __init__(self, pace: Pace, units: Mapping[Stage, float]) -> None:
        self._pace = pace
        self._units = dict(units)
        self._left = dict(units)

    def step(self, stage: Stage, step: int, steps: int, preview: bytes | None = None) -> StepEvent:
        """The event of a stage of which `step` of `steps` are done."""
        self._left[stage] = self._units[stage] * (1 - step / steps)
        left = self._pace.left(self._left)
        return StepEvent(stage=stage, step=step, steps=steps, seconds_left=left, preview=preview)


class StageClock:
    """The current stage of a render, and the seconds spent in each stage."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.stage: Stage = "load"
        self._clock = clock
        self._seconds: dict[Stage, float] = {}
        self._began = clock()

    def begin(self, stage: Stage) -> Stage:
        """Ends the current stage and begins this one."""
        self.end()
        self.stage = stage
        return stage

    def end(self) -> Mapping[Stage, float]:
        """Ends the current stage; returns the seconds of each."""
        now = self._clock()
        self._seconds[self.stage] = self._seconds.get(self.stage, 0.0) + now - self._began
        self._began = now
        return dict(self._seconds)
