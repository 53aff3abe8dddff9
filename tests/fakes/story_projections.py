"""The attention of a training step written out: one masked softmax over all tokens of all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from moc_engine.config import Chunking
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.rotary import apply_rotary
from moc_engine.training.story_rules import StoryRules

HEIGHT: Final = 2
WIDTH: Final = 3
SLOTS: Final = HEIGHT * WIDTH


@dataclass(frozen=True, kw_only=True, eq=False)
class StoryProjections:
    """Projections of one step (rows, H, L, D), and what the attention over them is made from.

    Rows are clean and noisy copies of shots, as `StoryAttention` has them; a frame has 2 × 3 tokens.
    """

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
        config = {"attention_head_dim": self.q.shape[3]}
        starts = (torch.tensor([0, *story]).cumsum(0)[:-1, None] for story in self.frames)
        return [rotary_angles(config, start + t, h, w) for start in starts]


def masked_attention_of(given: StoryProjections, rules: StoryRules) -> Tensor:
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
    asking, pooled = q, k
    if rules.routing is not None and rules.routing.pooling == "before":
        asking, pooled = (x.transpose(0, 1).flatten(1, 2) for x in (given.q, given.k))
    attended = torch.zeros(len(q), len(rows) * tokens, len(rows) * tokens, dtype=torch.bool)

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
        for head in range(len(q)):
            for nth, token in enumerate(span(row).tolist()):
                for chunk in best[head, nth].tolist():
                    attended[head, token, chunks[chunk]] = True
    there = torch.cat([span(row) for row in range(len(rows))])
    scores = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).masked_fill(~attended, -torch.inf)
    out = torch.zeros_like(q)
    out[:, there] = scores[:, there].softmax(dim=-1) @ v
    by_row: Tensor = out.unflatten(1, (len(rows), tokens)).transpose(0, 1)
    return by_row
