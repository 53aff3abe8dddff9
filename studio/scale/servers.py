"""The database and the storage of a simulated studio."""

from __future__ import annotations

import heapq
from random import Random
from typing import Final

TRIES: Final = 5
"""Requests to the storage after which a file counts as failed."""

BACKOFF: Final = 0.5
"""Seconds before the second request; twice as many before each further one."""


class Database:
    """A server of so many `connections`, first come first served. Callers come in the order of time.

    Transactions that write begin at most `writes_per_second` times a second.
    """

    def __init__(self, connections: int, writes_per_second: float) -> None:
        self._free = [0.0] * connections
        self._between_writes = 1.0 / writes_per_second
        self._next_write = 0.0
        self._connections = connections
        self.busy = 0.0
        self.writes = 0
        self.transactions = 0
        self.waited = 0.0

    def done(self, now: float, seconds: float, *, write: bool = False) -> float:
        """When a transaction of so many seconds is done that is asked for now."""
        begins = max(now, self._free[0])
        if write:
            begins = max(begins, self._next_write)
            self._next_write = begins + self._between_writes
            self.writes += 1
        heapq.heapreplace(self._free, begins + seconds)
        self.busy += seconds
        self.transactions += 1
        self.waited += begins - now
        return begins + seconds

    def clear(self) -> None:
        """Counts anew from here."""
        self.busy = self.waited = 0.0
        self.writes = self.transactions = 0

    def used(self, seconds: float) -> tuple[float, float]:
        """The shares of its connections, and of the writes it can begin, that so many seconds used."""
        connections, writes = self.busy / self._connections, self.writes * self._between_writes
        return min(1.0, connections / seconds), min(1.0, writes / seconds)


class Storage:
    """Object storage: each request takes a time of its own, and some fail."""

    def __init__(self, seconds: float, failures: float, random: Random) -> None:
        self._seconds = seconds
        self._failures = failures
        self._random = random
        self.requests = 0
        self.retries = 0

    def done(self, now: float, files: int) -> float | None:
        """When so many files, one after the other, were read or written; None where one failed for good."""
        for _ in range(files):
            for attempt in range(TRIES):
                now += self._random.expovariate(1.0) * self._seconds
                self.requests += 1
                if self._random.random() >= self._failures:
                    break
                self.retries += 1
                now += BACKOFF * 2**attempt
            else:
                return None
        return now
