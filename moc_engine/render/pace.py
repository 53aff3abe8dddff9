"""How long the stages of a render take: measured, and foretold from earlier ones."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from moc_engine.contract import Stage

_KEPT: Final = 0.7
"""How much of the old rate a new measurement leaves."""

_GUESSES: Final[Mapping[Stage, float]] = {"decode": 0.03}
"""Rates before anything was measured."""


class Pace:
    """Seconds that a unit of a stage takes: a take read, a denoising step, a megapixel painted."""

    def __init__(self) -> None:
        self._rates: dict[Stage, float] = {}

    @contextmanager
    def measured(self, stage: Stage, units: float = 1.0) -> Iterator[None]:
        """Learns from the time the block takes for so many units, if it ends well."""
        began = time.perf_counter()
        yield
        rate = (time.perf_counter() - began) / units
        self._rates[stage] = _KEPT * self._rates.get(stage, rate) + (1 - _KEPT) * rate

    def left(self, units: Mapping[Stage, float]) -> float:
        """Seconds for so many units of each stage; what was never measured counts nothing."""
        return sum(self._rates.get(stage, _GUESSES.get(stage, 0.0)) * n for stage, n in units.items())


class StageClock:
    """Which stage a render is in, and the seconds spent in each."""

    def __init__(self) -> None:
        self.stage: Stage = "load"
        self._seconds: dict[Stage, float] = {}
        self._began = time.perf_counter()

    def begin(self, stage: Stage) -> Stage:
        """Ends the stage before and begins this one."""
        self.end()
        self.stage = stage
        return stage

    def end(self) -> Mapping[Stage, float]:
        """Ends the stage; the seconds of each so far."""
        now = time.perf_counter()
        self._seconds[self.stage] = self._seconds.get(self.stage, 0.0) + now - self._began
        self._began = now
        return dict(self._seconds)
