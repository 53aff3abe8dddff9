"""What the training loop asks of an evaluation; `evaluation.examined_training` has the usual one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from moc_engine.models.animatic.model import AnimaticPipeline
from moc_engine.training.recipes import Recipe

Panels = Mapping[str, Sequence[str]]
"""The plots beside the loss: the names of the metrics in each, by title."""


class Examiner(Protocol):
    """Measures a model on held-out stories while it trains."""

    @property
    def panels(self) -> Panels: ...

    def examine(self, pipeline: AnimaticPipeline, plan: Recipe) -> Mapping[str, float]:
        """The mean of each metric; `plan` says how many stories, of how many shots, and how many steps."""
        ...
