"""An exponential moving average of the trained weights, kept in float32 beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from moc_engine.training.tuning.sharding import local


class WeightAverage:
    """The averages of `parameters`, with a decay that rises to `decay` over the first steps.

    A decay of 0 is no average: the weights themselves stand for it, and nothing is kept.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self._parameters = list(parameters)
        self._decay = decay
        self._steps = 0
        self.averages: list[Tensor] = [p.detach().float().clone() for p in self._parameters] if decay else []

    @torch.no_grad()
    def step(self) -> None:
        """Takes the weights after one more step into the average."""
        if not self.averages:
            return
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for average, parameter in zip(self.averages, self._parameters, strict=True):
            local(average).lerp_(local(parameter).to(average.dtype), 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the parameters have the average values."""
        kept = [local(parameter).detach().clone() for parameter in self._parameters] if self.averages else []
        try:
            self._copy(self.averages)
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=bool(values)):
            local(parameter).copy_(local(value))

    @property
    def steps(self) -> int:
        """How many steps the average has taken in."""
        return self._steps

    def restore(self, steps: int, averages: Sequence[Tensor]) -> None:
        """Continues an average of an earlier call; raises `ValueError` for weights of other shapes."""
        self._steps = steps
        for average, value in zip(self.averages, averages, strict=True):
            if average.shape != value.shape:
                raise ValueError(
                    f"an average has the shape {tuple(value.shape)} and not {tuple(average.shape)}"
                )
            average.copy_(value)
