"""The attention that spans of keys received, compared with float64."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from moc_engine.ops.triton.masses import span_lses
from tests.fakes.kernels import DEVICE, kernel_tests

pytestmark = kernel_tests

BOUNDS = [0, 5, 6, 25, 25, 60]
SCALE = 0.3

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-4, torch.float16: 1e-4}
"""Greatest difference of a log-sum-exp, as the products of 16-bit numbers are exact in float32."""


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def whole(q: Tensor, k: Tensor) -> Tensor:
    return (q.double() @ k.double().transpose(2, 3) * SCALE).logsumexp(dim=-1)


def lses(q: Tensor, k: Tensor, bounds: list[int] = BOUNDS) -> Tensor:
    return torch.stack(span_lses(q, k, whole(q, k).float(), bounds, SCALE))


def expected(q: Tensor, k: Tensor, bounds: list[int] = BOUNDS) -> Tensor:
    return torch.stack([whole(q, k[:, :, first:stop]) for first, stop in pairwise(bounds)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("D", [16, 24, 96])
def test_each_span_has_its_log_sum_exp(D: int, dtype: torch.dtype) -> None:
    q, k = noise(2, 2, 19, D, dtype=dtype), noise(2, 2, 60, D, dtype=dtype, seed=1)
    torch.testing.assert_close(lses(q, k).double(), expected(q, k), atol=TOLERANCE[dtype], rtol=0)


def test_tensors_may_lie_in_memory_as_a_projection_leaves_them() -> None:
    q, k = noise(2, 21, 3, 16).transpose(1, 2), noise(1, 60, 3, 16, seed=1).transpose(1, 2)
    shared = k.expand(2, -1, -1, -1)
    torch.testing.assert_close(lses(q, shared).double(), expected(q, shared), atol=1e-5, rtol=0)


def test_shares_of_all_spans_sum_to_one_and_are_the_same_twice() -> None:
    q, k = noise(1, 2, 9, 16) * 8, noise(1, 2, 60, 16, seed=1) * 8
    found = lses(q, k)
    shares = (found.double() - whole(q, k)).exp()
    torch.testing.assert_close(shares.sum(dim=0), torch.ones_like(shares[0]), atol=1e-4, rtol=0)
    assert torch.equal(found, lses(q, k))


def test_what_stands_beyond_a_span_plays_no_part() -> None:
    q, k = noise(1, 1, 7, 16), noise(1, 1, 60, 16, seed=1)
    lse = whole(q, k).float()
    k[:, :, 25:] = torch.nan
    clean = torch.stack(span_lses(q, k[:, :, :25], lse, BOUNDS[:4], SCALE))
    assert clean.isfinite().all()
    poisoned = torch.stack(span_lses(q, k, lse, BOUNDS, SCALE))
    assert torch.equal(poisoned[:3], clean)
