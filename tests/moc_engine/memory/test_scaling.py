"""Keys and values in 8 bits: what is lost, and where it lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moc_engine.memory.scaling import dequantise_into, quantise, scale_groups


@pytest.mark.parametrize(
    ("chunks", "groups"),
    [
        ([0, 100, 200, 300], [0, 100, 200, 300]),
        ([0, 40, 80, 120, 160], [0, 80, 160]),
        ([0, 40, 80, 90], [0, 90]),
        ([0, 100, 110], [0, 110]),
        ([0, 3, 6], [0, 6]),
        ([0, 64], [0, 64]),
    ],
)
def test_groups_are_whole_chunks_of_64_tokens_or_more(chunks: list[int], groups: list[int]) -> None:
    assert scale_groups(np.array(chunks)).tolist() == groups


OFFSETS = np.array([0, 70, 140, 230])


def test_each_number_is_off_by_half_a_step_at_most() -> None:
    x = torch.randn(2, 3, 230, 8, generator=torch.Generator().manual_seed(0))
    x[..., 2] *= 50  # a channel that is far larger, as keys have them
    kept, scales = quantise(x, OFFSETS)
    assert kept.dtype == torch.int8
    assert scales.shape == (2, 3, 3, 8)
    back = torch.empty_like(x)
    dequantise_into(back, kept, scales, OFFSETS)
    steps = scales[:, :, torch.tensor([0] * 70 + [1] * 70 + [2] * 90)]
    assert ((back - x).abs() <= steps * 0.501).all()
    assert float((back - x).norm() / x.norm()) < 0.01


@pytest.mark.parametrize(("start", "stop"), [(0, 230), (70, 140), (30, 100), (139, 230), (150, 160)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_tokens_are_scaled_back_like_all(start: int, stop: int, dtype: torch.dtype) -> None:
    kept, scales = quantise(torch.randn(2, 230, 4, generator=torch.Generator().manual_seed(1)), OFFSETS)
    whole, part = torch.empty(2, 230, 4, dtype=dtype), torch.empty(2, stop - start, 4, dtype=dtype)
    dequantise_into(whole, kept, scales, OFFSETS)
    dequantise_into(part, kept[:, start:stop], scales, OFFSETS, start)
    assert torch.equal(part, whole[:, start:stop])


def test_zeros_stay_zero() -> None:
    kept, scales = quantise(torch.zeros(1, 5, 4), np.array([0, 5]))
    back = torch.full((1, 5, 4), torch.nan)
    dequantise_into(back, kept, scales, np.array([0, 5]))
    assert torch.equal(back, torch.zeros(1, 5, 4))
