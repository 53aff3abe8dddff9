"""Attention shot by shot against a masked softmax in float64, and against that of all stories at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from moc_engine.config import Chunking, Pooling, RoutingConfig
from moc_engine.training.story_attention import StoryAttention
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.shotwise_attention import ShotwiseAttention
from tests.fakes.story_projections import SLOTS, StoryProjections, masked_attention_of

HEADS, SIZE = 2, 12
UNEVEN = ((2, 1, 3, 2), (1, 3, 2, 2))
"""Token frames of the shots of two stories."""

EVEN = ((2, 2, 2, 2), (2, 2, 2, 2))


def run(given: StoryProjections, rules: StoryRules) -> Tensor:
    attention = ShotwiseAttention(
        grids=given.grids, rules=rules, angles=given.angles, denoised=given.denoised
    )
    return attention.attend(0, given.q, given.k, given.v)


def step(
    frames: Sequence[Sequence[int]] = UNEVEN,
    *,
    denoised: tuple[int, ...] = (0, 1, 2, 3),
    chunking: Chunking = "frame",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> StoryProjections:
    draws = torch.Generator().manual_seed(seed)
    rows = len(frames) * (denoised[-1] + len(denoised))
    tokens = max(map(max, frames)) * SLOTS
    q, k, v = (
        torch.randn(rows, HEADS, tokens, SIZE, generator=draws, dtype=dtype).requires_grad_()
        for _ in range(3)
    )
    return StoryProjections(frames=frames, denoised=denoised, chunking=chunking, q=q, k=k, v=v)


def _steered(stories: int = 2, shots: int = 4) -> tuple[Tensor, Tensor]:
    candidates = torch.ones(stories, shots, shots, dtype=torch.bool)
    pinned = torch.zeros_like(candidates)
    candidates[0, 3, 1] = candidates[1, 2, :] = False
    pinned[0, 3, 0] = pinned[1, 3, 2] = True
    return candidates, pinned


@pytest.mark.parametrize("routing", [None, RoutingConfig(top_k=2, chunking="frame")])
@pytest.mark.parametrize("denoised", [(0, 1, 2, 3), (1, 3), (0,)])
def test_outputs_and_gradients_are_those_of_a_masked_softmax(
    routing: RoutingConfig | None, denoised: tuple[int, ...]
) -> None:
    candidates, pinned = _steered()
    rules = StoryRules(routing=routing, candidates=candidates, pinned=pinned)
    given = step(dtype=torch.float64, denoised=denoised)
    mine, plain = run(given, rules), masked_attention_of(given, rules)
    torch.testing.assert_close(mine, plain, atol=1e-6, rtol=1e-6)
    weights = torch.randn(mine.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = (given.q, given.k, given.v)
    for one, other in zip(
        torch.autograd.grad((mine * weights).sum(), inputs),
        torch.autograd.grad((plain * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("chunking", ["frame", "track"])
@pytest.mark.parametrize("pooling", ["before", "after"])
@pytest.mark.parametrize("top_k", [0, 1, 100])
def test_chunks_are_chosen_by_their_mean_keys(chunking: Chunking, pooling: Pooling, top_k: int) -> None:
    rules = StoryRules(routing=RoutingConfig(top_k=top_k, chunking=chunking, pooling=pooling))
    given = step(chunking=chunking)
    torch.testing.assert_close(run(given, rules), masked_attention_of(given, rules), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("routing", [None, RoutingConfig(top_k=2, chunking="frame")])
@pytest.mark.parametrize("denoised", [(0, 1, 2, 3), (1, 3), (2,)])
def test_shot_by_shot_equals_all_stories_at_once(
    routing: RoutingConfig | None, denoised: tuple[int, ...]
) -> None:
    candidates, pinned = _steered()
    rules = StoryRules(routing=routing, candidates=candidates, pinned=pinned)
    given = step(EVEN, denoised=denoised)
    at_once = StoryAttention(slots=SLOTS, rules=rules, angles=given.angles[0], denoised=denoised)
    together = at_once.attend(0, given.q, given.k, given.v)
    torch.testing.assert_close(run(given, rules), together, atol=1e-5, rtol=1e-4)


def test_drop_off_and_drop_in_are_drawn_by_layer_and_repeat() -> None:
    routing = RoutingConfig(top_k=3, chunking="frame", drop_off=0.9, drop_in=2.0)
    given, rules = step(), StoryRules(routing=routing, seed=5)
    attention = ShotwiseAttention(
        grids=given.grids, rules=rules, angles=given.angles, denoised=given.denoised
    )
    first = attention.attend(0, given.q, given.k, given.v)
    other_layer = attention.attend(1, given.q, given.k, given.v)
    assert torch.equal(attention.attend(0, given.q, given.k, given.v), first)
    assert not torch.equal(other_layer, first)
    assert not torch.equal(run(given, StoryRules(routing=routing)), first)
