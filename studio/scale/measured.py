"""What a simulated studio did, and what kept it from more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from studio.scale.farm import Farm

SLOWED: Final = 0.95
"""The share of a farm's bound below which something else than workers and films keeps it."""

FULL: Final = 0.9
"""The share of a database's connections or writes from which callers wait long."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The shots of all films at one time, each counted once, and what became of their jobs.

    Each claim either stored a take, was lost with its lease, failed, or still runs.
    """

    waiting: int
    running: int
    stored: int
    parked: int
    unasked: int
    claims: int
    takes: int
    lost: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured: shots stored a second, and seconds from when a shot could begin until it did.

    `rendering` is the share of the workers' time in which they rendered what was stored; `connections` and
    `writes` are the shares of the database that were used.
    """

    farm: Farm
    shots_per_second: float
    delays: tuple[float, ...]
    rendering: float
    connections: float
    writes: float
    requests_per_second: float
    lost: int

    def delay(self, share: float) -> float:
        """The delay that a share (0–1) of the shots did not exceed; NaN where none began."""
        if not self.delays:
            return math.nan
        return self.delays[min(len(self.delays) - 1, math.ceil(share * len(self.delays)) - 1)]

    @property
    def mean_delay(self) -> float:
        return math.fsum(self.delays) / len(self.delays) if self.delays else math.nan

    @property
    def first_out(self) -> str:
        """What keeps the studio from rendering more shots."""
        if self.shots_per_second < SLOWED * self.farm.bound:
            if self.connections > FULL:
                return "database connections"
            if self.writes > FULL:
                return "database writes"
        return "films" if self.farm.bound_by_films < self.farm.bound_by_workers else "workers"
