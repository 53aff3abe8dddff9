"""How cuts are found, unless told otherwise. Loads no library, so that the command line answers quickly."""

from __future__ import annotations

from typing import Final

THRESHOLD: Final = 3.0
"""How many times the change around it a cut's own must be; PySceneDetect's default."""

SHORTEST: Final = 0.5
"""Seconds between two cuts, at least."""
