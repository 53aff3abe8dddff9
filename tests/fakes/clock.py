"""A clock that tests set."""

from __future__ import annotations


class FakeClock:
    """Tells `now`, in seconds since 1970, whenever it is called."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
