"""Schedules: stages of the data and of sparsity, and the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


class _Ending(Protocol):
    @property
    def until(self) -> float: ...


AnyStage = TypeVar("AnyStage", bound=_Ending)
"""A part of a training that ends at the fraction `until` of all steps."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the training, up to the fraction `until` of all steps; ranges are inclusive.

    `frames` is the length of a shot in token frames, `tokens` the noisy tokens of one step, and
    `top_k` the number of selected chunks (None: dense).
    """

    until: float
    shots: tuple[int, int]
    frames: tuple[int, int]
    cast: tuple[int, int]
    tokens: int
    top_k: int | None


def stage_at(stages: Sequence[AnyStage], progress: float) -> AnyStage:
    """The stage when the fraction `progress` (0–1) of all steps is done."""
    return next((stage for stage in stages if progress < stage.until), stages[-1])


def rate_at(step: int, *, steps: int, warm_up: int, cool_down: float) -> float:
    """The learning rate relative to its maximum: linear warm-up, constant, linear cool-down.

    The warm-up takes at most a fifth of all steps.
    `cool_down` is the fraction of all steps in the cool-down. The constant part does not depend on `steps`,
    so a run can be made longer or shorter during it.
    """
    rising = min(1.0, (step + 1) / max(1, min(warm_up, steps // 5)))
    falling = (steps - step) / max(1.0, cool_down * steps)
    return max(0.0, min(rising, falling, 1.0))
