"""Attention shot by shot against a masked softmax in float64, and against that of all stories at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from moc_engine.config import Chunking, Pooling, RoutingConfig
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.rotary import apply_rotary
from moc_engine.training.attention import StoryAttention, StoryRules
from moc_engine.training.tuning.shotwise_attention import ShotwiseAttention

HEADS, HEIGHT, WIDTH, SIZE = 2, 2, 3, 12
SLOTS = HEIGHT * WIDTH
UNEVEN = ((2, 1, 3, 2), (1, 3, 2, 2))
"""Token frames of the shots of two stories."""

EVEN = ((2, 2, 2, 2), (2, 2, 2, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """Random projections of one step, and what the attention over them is made from."""

    frames: Sequence[Sequence[int]]
    denoised: tuple[int, ...]
    chunking: Chunking
    q: Tensor
    k: Tensor
    v: Tensor

    @property
    def grids(self) -> list[list[TokenGrid]]:
        return [
            [TokenGrid(frames=f, height=HEIGHT, width=WIDTH, chunking=self.chunking) for f in story]
            for story in self.frames
        ]

    @property
    def angles(self) -> list[tuple[Tensor, Tensor]]:
        longest = max(map(max, self.frames))
        sides = torch.meshgrid(*(torch.arange(s) for s in (longest, HEIGHT, WIDTH)), indexing="ij")
        t, h, w = (axis.flatten() for axis in sides)
        config = {"attention_head_dim": SIZE}
        starts = (torch.tensor([0, *story]).cumsum(0)[:-1, None] for story in self.frames)
        return [rotary_angles(config, start + t, h, w) for start in starts]

    def run(self, rules: StoryRules) -> Tensor:
        attention = ShotwiseAttention(
            grids=self.grids, rules=rules, angles=self.angles, denoised=self.denoised
        )
        return attention.attend(0, self.q, self.k, self.v)


def step(
    frames: Sequence[Sequence[int]] = UNEVEN,
    *,
    denoised: tuple[int, ...] = (0, 1, 2, 3),
    chunking: Chunking = "frame",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Step:
    draws = torch.Generator().manual_seed(seed)
    rows = len(frames) * (denoised[-1] + len(denoised))
    tokens = max(map(max, frames)) * SLOTS
    q, k, v = (
        torch.randn(rows, HEADS, tokens, SIZE, generator=draws, dtype=dtype).requires_grad_()
        for _ in range(3)
    )
    return Step(frames=frames, denoised=denoised, chunking=chunking, q=q, k=k, v=v)


def reference(given: Step, rules: StoryRules) -> Tensor:
    """One masked softmax over all tokens of all rows: which token attends to which is written out."""
    stories, clean = len(given.frames), given.denoised[-1]
    rows = [(story, shot, False) for story in range(stories) for shot in range(clean)]
    rows += [(story, shot, True) for story in range(stories) for shot in given.denoised]
    tokens = given.q.shape[2]

    def turned(x: Tensor) -> Tensor:
        angles = (given.angles[story] for story, _, _ in rows)
        parts = [apply_rotary(x[n], cos[rows[n][1]], sin[rows[n][1]]) for n, (cos, sin) in enumerate(angles)]
        return torch.stack(parts)

    q, k, v = (x.transpose(0, 1).flatten(1, 2) for x in (turned(given.q), turned(given.k), given.v))
    pooled = (
        k
        if rules.routing is None or rules.routing.pooling == "after"
        else given.k.transpose(0, 1).flatten(1, 2)
    )
    asking = (
        q
        if rules.routing is None or rules.routing.pooling == "after"
        else given.q.transpose(0, 1).flatten(1, 2)
    )
    attended = torch.zeros(HEADS, len(rows) * tokens, len(rows) * tokens, dtype=torch.bool)

    def span(row: int, part: Tensor | None = None) -> Tensor:
        """The tokens of a row that are there, or those of a chunk of it."""
        story, shot, _ = rows[row]
        own = torch.arange(given.frames[story][shot] * SLOTS)
        return row * tokens + (own if part is None else own[part])

    for row, (story, shot, noisy) in enumerate(rows):
        attended[:, span(row)[:, None], span(row)] = True
        if not noisy:
            continue
        chunks: list[Tensor] = []
        for earlier in range(shot):
            memory = rows.index((story, earlier, False))
            allowed = rules.candidates is None or bool(rules.candidates[story, shot, earlier])
            pinned = rules.pinned is not None and bool(rules.pinned[story, shot, earlier])
            if pinned or (allowed and rules.routing is None):
                attended[:, span(row)[:, None], span(memory)] = True
            elif allowed:
                by_frame = torch.arange(given.frames[story][earlier] * SLOTS).view(-1, SLOTS)
                parts = by_frame if given.chunking == "frame" else by_frame.T
                chunks += [span(memory, part) for part in parts]
        if rules.routing is None or not chunks:
            continue
        means = torch.stack([pooled[:, chunk].mean(dim=1) for chunk in chunks], dim=1)
        scores = asking[:, span(row)] @ means.transpose(1, 2)
        best = scores.topk(min(rules.routing.top_k, len(chunks)), dim=-1).indices
        for head in range(HEADS):
            for nth, token in enumerate(span(row).tolist()):
                for chunk in best[head, nth].tolist():
                    attended[head, token, chunks[chunk]] = True
    there = torch.cat([span(row) for row in range(len(rows))])
    scores = (q @ k.transpose(1, 2) / math.sqrt(SIZE)).masked_fill(~attended, -torch.inf)
    out = torch.zeros_like(q)
    out[:, there] = scores[:, there].softmax(dim=-1) @ v
    by_row: Tensor = out.unflatten(1, (len(rows), tokens)).transpose(0, 1)
    return by_row


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
    mine, plain = given.run(rules), reference(given, rules)
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
    torch.testing.assert_close(given.run(rules), reference(given, rules), atol=1e-5, rtol=1e-4)


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
    torch.testing.assert_close(given.run(rules), together, atol=1e-5, rtol=1e-4)


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
    assert not torch.equal(given.run(StoryRules(routing=routing)), first)
