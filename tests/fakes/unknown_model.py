"""A model of which the studio knows nothing, so that everything may be asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

UNKNOWN_MODEL: Final = str(Path(__file__).parents[1] / "data" / "unknown-model")
