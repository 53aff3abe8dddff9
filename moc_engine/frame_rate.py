"""Frame rates as exact fractions. The standard library alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

LARGEST_DENOMINATOR: Final = 1001

BROADCAST: Final = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
"""23.976, 29.97, 47.952, 59.94 and 119.88, exactly."""

_ROUNDED: Final = Fraction(15, 10_000)
"""How far a rounded number lies from the rate of broadcasting it means, at most."""


def exact_rate(fps: Fraction | float) -> Fraction:
    """A fraction stays as it is; a number within 0.0015 of a rate of broadcasting means that one.

    Denominators are 1001 at most. Raises `ValueError` for a rate that is not above 0 and at most 240.
    """
    if not 0 < fps <= 240:  # NaN too
        raise ValueError(f"fps: must be above 0 and at most 240, got {fps}")
    exact = Fraction(fps).limit_denominator(LARGEST_DENOMINATOR)
    if not exact:
        raise ValueError(f"fps: must be at least 1/{LARGEST_DENOMINATOR}, got {fps}")
    if isinstance(fps, Fraction):
        return exact
    return next((rate for rate in BROADCAST if abs(rate - exact) < _ROUNDED), exact)
