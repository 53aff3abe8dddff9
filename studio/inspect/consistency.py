"""The likely reason why a look drifted, read from the routing."""

from __future__ import annotations

from typing import Final

from moc_engine.trace.drift import Appearance

FEW: Final = 0.1
"""A share of what something took from the past below which its right look hardly had a say."""


def reason(name: str, appearance: Appearance, *, banned: bool = False) -> str:
    """Why it may have drifted, as its routing tells; `banned`: what decides its look was kept from it."""
    first = f"{name} in shot {appearance.anchor + 1}" if appearance.part else f"shot {appearance.anchor + 1}"
    if banned:
        return f"{first} is banned there"
    if appearance.share is None:
        return f"its take could not see {first}"
    if appearance.share < FEW:
        return f"it drew {appearance.share:.0%} of its memory from {first}"
    return f"it drew {appearance.share:.0%} of its memory from {first}, and still looks different"
