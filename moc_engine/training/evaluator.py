"""The evaluation that a training run calls; `moc_engine.evaluation.training_run` implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from moc_engine.models.animatic.model import AnimaticPipeline
from moc_engine.training.recipes import Recipe

Panels = Mapping[str, Sequence[str]]
"""The plots beside the loss: title -> names of the metrics in it."""


class Evaluator(Protocol):
    """Measures a model on held-out stories during training."""

    @property
    def panels(self) -> Panels: ...

    def evaluate(self, pipeline: AnimaticPipeline, plan: Recipe) -> Mapping[str, float]:
        """The mean of each metric; `plan` gives the number of stories, their shots and denoising steps."""
        ...
