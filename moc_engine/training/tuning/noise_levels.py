"""Noise levels of training: logit-normal or uniform, shifted as the model's own schedule is.

    u ~ logit-normal(0, 1), σ = s · u / (1 + (s - 1) · u)

The logit-normal density of levels weighs the velocity's errors, which have no other weight, and the shift s
moves them towards the noisy end (Esser et al., "Scaling Rectified Flow Transformers", arXiv 2403.03206,
sections 3.1 and 5.3.2); Wan was trained so (arXiv 2503.20314).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moc_engine.training.tuning.recipe import Levels


@dataclass(frozen=True, kw_only=True)
class NoiseLevels:
    """A distribution of noise levels between `low` and `high` (0–1): the part of it that lies there."""

    levels: Levels = "logit-normal"
    shift: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def draw(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Independent noise levels in float32, on the generator's device."""
        first, last = (self._share(level) for level in (self.low, self.high))
        share = torch.rand(tuple(shape), generator=generator, device=generator.device, dtype=torch.float64)
        share = first + (last - first) * share
        even = torch.special.ndtri(share).sigmoid() if self.levels == "logit-normal" else share
        return self.shifted(even).clamp(self.low, self.high).float()

    def shifted(self, even: Tensor) -> Tensor:
        """The noise levels of a schedule with the shift for those of one without."""
        return self.shift * even / (1 + (self.shift - 1) * even)

    def _share(self, level: float) -> float:
        """The share of all draws that are below a noise level."""
        even = level / (self.shift - (self.shift - 1) * level)
        if self.levels == "uniform" or not 0.0 < even < 1.0:
            return even
        return float(torch.special.ndtr(torch.logit(torch.tensor(even, dtype=torch.float64))))
