"""A studio to simulate: its workers and films, and how long its database and its storage take."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Farm:
    """Films are rendered shot after shot; when all shots of one have takes, somebody looks at it for a while,
    changes it, and has it rendered anew.

    A shot takes `shot_seconds` on the mean, as a log-normal with a deviation of `spread` times that (None:
    exponential). A statement takes the database `statement_seconds`; it has so many `connections`, each of
    which runs a transaction at a time, and begins at most `writes_per_second` transactions that write. The
    storage takes `storage_seconds` for a request, of which a share of `storage_failures` fails and is tried
    again. Workers die `deaths_per_hour`, and are there again after `restart_seconds`. Those without a job ask
    for one every `poll_seconds`, and where `notified` also as soon as there is one. A claim takes
    `row_seconds` for each job that waits, where it reads them all.
    """

    workers: int
    films: int
    shots: int = 12
    shot_seconds: float = 60.0
    spread: float | None = 0.3
    looking_seconds: float = 3600.0
    statement_seconds: float = 0.005
    connections: int = 100
    writes_per_second: float = 2000.0
    storage_seconds: float = 0.05
    storage_failures: float = 0.001
    deaths_per_hour: float = 0.01
    restart_seconds: float = 60.0
    poll_seconds: float = 0.25
    notified: bool = False
    row_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("workers", "films", "shots", "connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be 1 or more, got {getattr(self, name)}")
        for name in ("shot_seconds", "looking_seconds", "writes_per_second", "poll_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: must be above 0, got {value}")
        for name in ("statement_seconds", "storage_seconds", "deaths_per_hour", "row_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.storage_failures < 1:
            raise ValueError(f"storage_failures: must be a share below 1, got {self.storage_failures}")

    @property
    def bound_by_workers(self) -> float:
        """The most shots a second that the workers render, were all but that for nothing."""
        return self.workers / self.shot_seconds

    @property
    def bound_by_films(self) -> float:
        """The most shots a second that the films ask for, were no shot to wait."""
        return self.films * self.shots / (self.looking_seconds + self.shots * self.shot_seconds)

    @property
    def bound(self) -> float:
        """The lower of the two."""
        return min(self.bound_by_workers, self.bound_by_films)

    @property
    def wait(self) -> float:
        """Seconds that a film waits at this bound, by Little's law: it is rendered, looked at, or waits."""
        cycle = self.films * self.shots / self.bound
        return max(0.0, cycle - self.looking_seconds - self.shots * self.shot_seconds)
