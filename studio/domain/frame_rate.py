"""Frame rates as exact fractions: 24, 25, and 24000/1001, which people write as 23.976.

A stored rate is read as it stands, so that earlier projects keep the rate of their takes. What a person
writes is read by `parse_rate`, where 23.976, 29.97, 47.952 and 59.94 mean the rates of broadcasting.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from moc_engine.frame_rate import LARGEST_DENOMINATOR, broadcast_rate
from studio.domain.errors import BadStoryboard
from studio.domain.messages import message

_LARGEST: Final = 10**9
_NUMBER: Final = re.compile(r"\d{1,6}(\.\d{0,9})?|\.\d{1,9}")
_FRACTION: Final = re.compile(r"(\d{1,6})\s*/\s*(\d{1,4})")


def exact_rate(rate: Fraction | float) -> Fraction:
    """The fraction that a number stands for. Raises `BadStoryboard` for a number that is not finite."""
    if not -_LARGEST <= rate <= _LARGEST:  # NaN too; a larger one may be no float
        raise BadStoryboard(message("not-finite"))
    return Fraction(rate).limit_denominator(LARGEST_DENOMINATOR)


def parse_rate(text: str) -> Fraction:
    """ "24", "23.976" or "24000/1001" as a fraction; a rate of broadcasting, rounded, means the exact one."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return typed_rate(Fraction(text))
    if (found := _FRACTION.fullmatch(text)) and int(found[2]):
        return exact_rate(Fraction(int(found[1]), int(found[2])))
    raise BadStoryboard(message("rate-unreadable", text=text[:40]))


def typed_rate(rate: Fraction | float) -> Fraction:
    """A rate that a person gave as a number: within 0.005 of a rate of broadcasting it means that one."""
    return broadcast_rate(exact_rate(rate))


def rate_to_json(rate: Fraction) -> float | str:
    """A number where that is exact, else a text such as "24000/1001"."""
    number = float(rate)
    return number if Fraction(str(number)) == rate else f"{rate.numerator}/{rate.denominator}"


def rate_in_words(rate: Fraction) -> str:
    """As people write it: "24", "23.976", "12.5"."""
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def exact_rate_in_words(rate: Fraction) -> str:
    """As `rate_in_words`, with the fraction where rounding hides it: "24", "29.97", "29.97 (30000/1001)"."""
    words = rate_in_words(rate)
    return words if Fraction(words) == rate else f"{words} ({rate.numerator}/{rate.denominator})"
