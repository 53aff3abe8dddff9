"""Noise levels against the formulas of their distributions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moc_engine.training.tuning.noise_levels import NoiseLevels
from moc_engine.training.tuning.recipe import Levels


def _drawn(levels: NoiseLevels) -> Tensor:
    return levels.draw((20_000,), torch.Generator().manual_seed(0))


def _plain(levels: Levels, shift: float) -> Tensor:
    """So many levels drawn as the formulas say."""
    draws = torch.Generator().manual_seed(1)
    even = torch.rand(20_000, generator=draws)
    if levels == "logit-normal":
        even = torch.randn(20_000, generator=draws).sigmoid()
    return shift * even / (1 + (shift - 1) * even)


@pytest.mark.parametrize("levels", ["logit-normal", "uniform"])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_levels_have_the_distribution_of_the_formula(levels: Levels, shift: float) -> None:
    mine, plain = _drawn(NoiseLevels(levels=levels, shift=shift)), _plain(levels, shift)
    shares = torch.linspace(0.02, 0.98, 13)
    torch.testing.assert_close(mine.quantile(shares), plain.quantile(shares), atol=0.012, rtol=0)


@pytest.mark.parametrize("levels", ["logit-normal", "uniform"])
@pytest.mark.parametrize(("low", "high"), [(0.875, 1.0), (0.0, 0.875)])
def test_the_levels_of_an_expert_are_the_part_in_its_range(levels: Levels, low: float, high: float) -> None:
    mine = _drawn(NoiseLevels(levels=levels, shift=3.0, low=low, high=high))
    plain = _plain(levels, 3.0)
    plain = plain[(plain >= low) & (plain <= high)]
    assert low <= float(mine.min())
    assert float(mine.max()) <= high
    shares = torch.linspace(0.05, 0.95, 7)
    torch.testing.assert_close(mine.quantile(shares), plain.quantile(shares), atol=0.015, rtol=0)
