"""Figures as JSON."""

from __future__ import annotations

from math import isnan
from typing import Any


def without_nan(told: Any) -> Any:
    """None for NaN, which JSON does not know."""
    match told:
        case dict():
            return {name: without_nan(value) for name, value in told.items()}
        case list() | tuple():
            return [without_nan(value) for value in told]
        case float() if isnan(told):
            return None
        case _:
            return told
