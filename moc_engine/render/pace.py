"""Measures the stages of a render, and estimates the time left from earlier renders."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from moc_engine.contract import Stage

_KEPT: Final = 0.7
"""The weight of the earlier rate against a new measurement."""

_GUESSES: Final[Mapping[Stage, float]] = {"decode": 0.03}
"""Rates before anything was measured."""


class Pace:
    """Seconds per unit of a stage: a take read, a denoising step, a megapixel decoded."""

    def __init__(self) -> None:
        self._rates: dict[Stage, float] = {}

    @contextmanager
    def measured(self, stage: Stage, units: float = 1.0) -> Iterator[None]:
        """Measures the block, which does `units` units of the stage; not counted if it raises."""
        began = time.perf_counter()
        yield
        rate = (time.perf_counter() - began) / units
        self._rates[stage] = _KEPT * self._rates.get(stage, rate) + (1 - _KEPT) * rate

    def left(self, units: Mapping[Stage, float]) -> float:
        """Estimated seconds for these units of each stage; a stage never measured counts as 0."""
        return sum(self._rates.get(stage, _GUESSES.get(stage, 0.0)) * n for stage, n in units.items())


class StageClock:
    """The current stage of a render, and the seconds spent in each stage."""

    def __init__(self) -> None:
        self.stage: Stage = "load"
        self._seconds: dict[Stage, float] = {}
        self._began = time.perf_counter()

    def begin(self, stage: Stage) -> Stage:
        """Ends the current stage and begins this one."""
        self.end()
        self.stage = stage
        return stage

    def end(self) -> Mapping[Stage, float]:
        """Ends the current stage; returns the seconds of each."""
        now = time.perf_counter()
        self._seconds[self.stage] = self._seconds.get(self.stage, 0.0) + now - self._began
        self._began = now
        return dict(self._seconds)
