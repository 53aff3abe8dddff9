"""What changes while training goes on: stages of the data, sparsity, the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of training, up to the share `until` of all steps; ranges are inclusive.

    `frames` is the length of a shot in token frames, `tokens` the noisy tokens of one step, and
    `top_k` the chunks routed to (None: all, dense).
    """

    until: float
    shots: tuple[int, int]
    frames: tuple[int, int]
    cast: tuple[int, int]
    tokens: int
    top_k: int | None


def stage_at(stages: Sequence[Stage], progress: float) -> Stage:
    """The stage in force when a share `progress` (0–1) of all steps is done."""
    return next((stage for stage in stages if progress < stage.until), stages[-1])


def rate_at(step: int, *, steps: int, warm_up: int, cool_down: float) -> float:
    """The learning rate as a share of the highest: rises, stays, and falls along a straight line.

    `cool_down` is the share of all steps spent falling. The middle does not depend on `steps`, so a
    run may be made longer or shorter while it is there.
    """
    rising = min(1.0, (step + 1) / warm_up)
    falling = (steps - step) / max(1.0, cool_down * steps)
    return max(0.0, min(rising, falling, 1.0))
