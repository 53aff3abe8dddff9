"""Frame rates as exact fractions. The standard library alone."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final

LARGEST_DENOMINATOR: Final = 1001

BROADCAST: Final = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
"""23.976, 29.97, 47.952, 59.94 and 119.88, exactly."""

_ROUNDED: Final = Fraction(5, 1000)
"""How far a rounded number lies from the rate of broadcasting it means, at most."""


@lru_cache(maxsize=256, typed=True)  # a fraction stays what an equal float does not
def exact_rate(fps: Fraction | float) -> Fraction:
    """A fraction stays as it is; a number within 0.005 of a rate of broadcasting means that one.

    Denominators are 1001 at most. Raises `ValueError` for a rate that is not above 0 and at most 240.
    """
    if not 0 < fps <= 240:  # NaN too
        raise ValueError(f"fps: must be above 0 and at most 240, got {fps}")
    exact = Fraction(fps).limit_denominator(LARGEST_DENOMINATOR)
    if not exact:
        raise ValueError(f"fps: must be at least 1/{LARGEST_DENOMINATOR}, got {fps}")
    return exact if isinstance(fps, Fraction) else broadcast_rate(exact)


def broadcast_rate(rate: Fraction) -> Fraction:
    """The broadcast rate within 0.005 of a rate, such as 24000/1001 for 23.976; else the rate itself."""
    return next((known for known in BROADCAST if abs(known - rate) < _ROUNDED), rate)
