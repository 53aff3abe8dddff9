"""Checks of single values of a storyboard; each raises `BadStoryboard`, which names the field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from studio.domain.errors import BadStoryboard
from studio.domain.messages import message

MAX_SEED: Final = 2**53 - 1
"""What a browser, too, holds exactly."""

_LARGEST: Final = 1e300
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def compose(thing: object, *names: str) -> None:
    """Writes letters and their accents as one character in the fields `names`, as all text here is kept."""
    for name in names:
        value = getattr(thing, name)
        if value is not None:
            object.__setattr__(thing, name, composed(value))


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def check_text(value: str, name: str, *, most: int) -> None:
    if not value.strip():
        raise BadStoryboard(message("empty"), (name,))
    if len(value) > most:
        raise BadStoryboard(message("text-too-long", length=len(value), most=most), (name,))
    if _CONTROL.search(value):
        raise BadStoryboard(message("control-character"), (name,))


def check_choice(value: str, name: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadStoryboard(message("choice-unknown", choices=", ".join(choices), value=value), (name,))


def check_id(value: str, name: str) -> None:
    if not _ID.fullmatch(value):
        raise BadStoryboard(message("id-unreadable", id=value), (name,))


def check_number(value: float | Fraction, name: str, low: float, high: float, *, unit: str = "") -> None:
    if not -_LARGEST <= value <= _LARGEST:  # NaN too; a larger one may be no float
        raise BadStoryboard(message("not-finite"), (name,))
    if not low <= value <= high:
        raise BadStoryboard(
            message("out-of-range", low=low, high=high, unit=unit, value=float(value)), (name,)
        )


def check_seed(value: int, name: str) -> None:
    if not 0 <= value <= MAX_SEED:
        raise BadStoryboard(message("seed-out-of-range", most=MAX_SEED, seed=value), (name,))
