"""What is measured on held-out stories while a model is tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from moc_engine.training.evaluator import Panels

if TYPE_CHECKING:
    from moc_engine.training.tuning.subject import TuningSubject


class TuningEvaluator(Protocol):
    """Measures the model of a run, whose weights are the averaged ones meanwhile.

    All processes call it alike, and it must give the same each time for the same weights.
    """

    @property
    def panels(self) -> Panels: ...

    def evaluate(self, subject: TuningSubject, step: int) -> Mapping[str, float]:
        """The mean of each metric over the held-out stories of the subject."""
        ...
