"""Step caches: what each skips, and what that costs. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from moc_engine.contract import StepCache

STEP_CACHE_NAMES: Final[Mapping[str, str]] = {
    "first-block": "first-block cache",
    "mag": "MagCache",
    "taylor": "TaylorSeer",
}

STEP_CACHES: Final[Mapping[StepCache, str]] = {
    "first-block": (
        "Runs the first block of every step, and the others where its change since the last step that ran "
        "whole exceeds 5%; else it adds their last change again. Fast motion suffers first. The host waits "
        "for the device once a step."
    ),
    "mag": (
        "Skips all blocks of up to 3 steps in a row while the sizes of their changes, measured once on a "
        "small clip, stay within 6%; never in the first fifth of the steps. The first render measures, which "
        "takes as many steps on that clip."
    ),
    "taylor": (
        "Runs the first 3 steps and every fifth after them, and extrapolates the output in between by its "
        "last change. The fastest, and the coarsest: details that settle late suffer."
    ),
}
"""The caches by name: what each skips, what it costs."""
