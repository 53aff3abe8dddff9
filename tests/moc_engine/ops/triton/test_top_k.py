"""The kernel that chooses chunks, compared with the scores written out and sorted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.triton.top_k import MOST_CHOSEN, best_chunks, supports
from tests.fakes.kernels import DEVICE, needs_cuda


def whole_numbers(seed: int, *shape: int) -> Tensor:
    """Few distinct values, so that scores are exact and often equal."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float().to(DEVICE)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def some(seed: int, share: float, *shape: int) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).to(DEVICE)


def written_out(
    q: Tensor, means: Tensor, candidates_BRC: Tensor, top_k: int, boosts: Tensor | None, rule: Tensor | None
) -> Tensor:
    def by_query(x: Tensor) -> Tensor:
        return (x if rule is None else x[:, rule])[:, None]

    scores = q.float() @ means.transpose(2, 3)
    if boosts is not None:
        scores = scores + by_query(boosts)
    return choose_chunks(scores, by_query(candidates_BRC), RoutingConfig(top_k=top_k))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("B", "H", "L", "C", "D", "K"),
    [
        (1, 2, 37, 21, 32, 5),
        (2, 1, 16, 40, 96, 1),  # a head size that is no power of two
        (1, 1, 5, 50, 8, 32),
        (1, 1, 9, 3, 64, 4),  # fewer chunks than K
        (1, 1, 3, 1, 256, 2),
    ],
)
def test_the_best_chunks_win_and_among_equals_the_lower(
    B: int, H: int, L: int, C: int, D: int, K: int, dtype: torch.dtype
) -> None:
    q, means = whole_numbers(1, B, H, L, D).to(dtype), whole_numbers(2, B, H, C, D)
    candidates = some(3, 0.7, B, 1, C)
    chosen = best_chunks(q, means, candidates, K)
    assert torch.equal(chosen, written_out(q, means, candidates, K, None, None))


@pytest.mark.parametrize("shared", [True, False])
def test_queries_follow_their_own_rule(shared: bool) -> None:
    B, H, L, C, R = 2, 2, 20, 35, 3
    q, means = whole_numbers(1, B, H, L, 16), whole_numbers(2, 1 if shared else B, H, C, 16)
    candidates, boosts = some(3, 0.3, 1 if shared else B, R, C), 4 * whole_numbers(4, B, R, C)
    candidates[:, 1] = False  # nothing to choose
    rule = torch.arange(L, device=DEVICE) * R // L
    chosen = best_chunks(q, means, candidates, 4, boosts_BRC=boosts, rule_L=rule)
    assert torch.equal(chosen, written_out(q, means, candidates, 4, boosts, rule))
    assert (chosen[:, :, rule == 1] == -1).all()


def test_queries_may_be_any_view() -> None:
    q, means = whole_numbers(1, 2, 20, 3, 16).transpose(1, 2), whole_numbers(2, 2, 3, 9, 16)
    candidates = some(3, 0.9, 1, 1, 9)
    assert torch.equal(
        best_chunks(q, means, candidates, 3), best_chunks(q.contiguous(), means, candidates, 3)
    )


@pytest.mark.parametrize("rules", [1, 2])
def test_what_is_no_candidate_may_hold_nan(rules: int) -> None:
    q = torch.ones(1, 1, 2, 16, device=DEVICE)
    means = torch.zeros(1, 1, 6, 16, device=DEVICE)
    means[..., 0] = torch.tensor([0.0, -3e38, 3e38, -0.0, -1.0, 0.0], device=DEVICE)
    means[0, 0, 0] = torch.nan
    candidates = torch.tensor([[[False, True, True, True, True, True]] * rules], device=DEVICE)
    rule = None if rules == 1 else torch.arange(2, device=DEVICE)
    assert best_chunks(q, means, candidates, 6, rule_L=rule)[0, 0, 1].tolist() == [2, 3, 5, 4, 1, -1]


@pytest.mark.parametrize("scale", [0.3, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scores_are_as_exact_as_float32(dtype: torch.dtype, scale: float) -> None:
    """What is chosen differs from the best in float64 by no more than float32 rounds."""
    q, means = (scale * noise(1, 1, 1, 48, 64)).to(dtype), scale * noise(2, 1, 1, 60, 64)
    candidates = torch.ones(1, 1, 60, dtype=torch.bool, device=DEVICE)
    chosen = best_chunks(q, means, candidates, 5)
    scores = q.double() @ means.double().transpose(2, 3)
    size = q.double().abs() @ means.double().abs().transpose(2, 3)
    lost = scores.topk(5).values - scores.gather(-1, chosen)
    assert (lost.abs() <= 2**-21 * size.amax(dim=-1, keepdim=True)).all()


def test_what_the_kernel_supports() -> None:
    q = torch.empty(1, 1, 1, 64)
    assert supports(q, 3)
    assert not supports(q, MOST_CHOSEN + 1)
    assert not supports(q, 0)
    assert not supports(q.double(), 3)
    assert not supports(torch.empty(1, 1, 1, 257), 3)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("C", "K"), [(98, 5), (2_688, 5), (336, 32)])
def test_real_sizes_choose_as_torch_does_twice_in_a_row(dtype: torch.dtype, C: int, K: int) -> None:
    q, means = noise(1, 1, 12, 8_190, 128).to(dtype), noise(2, 1, 12, C, 128)
    candidates = some(3, 0.9, 1, 1, C)
    means[:, :, ~candidates[0, 0]] = torch.nan
    chosen = best_chunks(q, means, candidates, K)
    assert torch.equal(chosen, best_chunks(q, means, candidates, K))
    scores = (q.double() @ means.nan_to_num().double().transpose(2, 3)).masked_fill(
        ~candidates[:, None], -torch.inf
    )
    lost = scores.topk(K).values - scores.gather(-1, chosen)
    assert lost.abs().max() <= 1e-4
    assert (chosen == scores.topk(K).indices).float().mean() > 0.999


@pytest.mark.gpu
@needs_cuda
def test_queries_beyond_32_bits_of_address() -> None:
    q = torch.zeros(1, 40, 440_000, 128, dtype=torch.bfloat16, device="cuda")
    q[:, -1, -100:, 0] = 1
    means = torch.zeros(1, 40, 20, 128, device="cuda")
    means[:, -1, 7, 0] = 1
    candidates = torch.ones(1, 1, 20, dtype=torch.bool, device="cuda")
    chosen = best_chunks(q, means, candidates, 1)
    assert (chosen[0, -1, -100:] == 7).all()
    assert (chosen[0, -1, :-100] == 0).all()
