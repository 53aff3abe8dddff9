"""Times of videos as people write them."""

from __future__ import annotations

import math
import re
from typing import Final

_CLOCK: Final = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:[.,]\d*)?)")


def parse_time(text: str) -> float:
    """Seconds of "75.5", "1:15.5" or "00:01:15,500". Raises `ValueError`."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"wanted seconds or h:mm:ss, got '{text.strip()}'")
    hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in found.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if (found[2] is not None and seconds >= 60) or (found[1] is not None and minutes >= 60):
        raise ValueError(f"no such time: '{text.strip()}'")
    if not math.isfinite(total):
        raise ValueError(f"no such time: '{text.strip()}'")
    return total


def shown_time(seconds: float) -> str:
    """75.5 -> "1:15.5", for messages."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{clock}:{rest // 10:02}.{rest % 10}"
