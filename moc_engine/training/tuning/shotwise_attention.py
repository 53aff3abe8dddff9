"""Self-attention over stories shot by shot: for long shots, and for shots of different lengths.

What `StoryAttention` computes for all stories at once, one noisy shot after the other: no mask over tokens is
made, and the end of a row behind a shorter shot is left out.

Shapes: B stories, M noisy shots, P shots that become memories, L tokens of the longest shot (frame by frame),
H heads, T tokens of memories, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from moc_engine.config import RoutingConfig, Steering
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.history import history_layout
from moc_engine.memory.take_memory import Kept
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.rotary import rotate_pairs
from moc_engine.ops.routing import chunk_means, eligible
from moc_engine.training.attention import attend_history, own_attention
from moc_engine.training.story_rules import StoryRules


@dataclass(frozen=True, kw_only=True, eq=False)
class _Context:
    """What a noisy shot may attend to of its story: the chunks of earlier shots, and the rules for them."""

    layout: ChunkLayout
    rules: ChunkRules
    pinned: tuple[int, ...]
    attended: tuple[int, ...]
    """Shots that are candidates or pinned."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Memories:
    """Memories of a story, shots side by side and chunk by chunk (1, H, T, D), and mean keys of chunks."""

    keys: Tensor
    values: Tensor
    means: Tensor


class ShotwiseAttention:
    """Self-attention of a training step: rows are B · P clean shots, then B · M noisy ones, `denoised`.

    `grids` [B][N] are the tokens of each shot, `kept` [B][N] those that are remembered (None: all), `angles`
    the cosines and sines (N, L, D / 2) of each story. The rules' tensors must be on the CPU.
    """

    def __init__(
        self,
        *,
        grids: Sequence[Sequence[TokenGrid]],
        rules: StoryRules,
        angles: Sequence[tuple[Tensor, Tensor]],
        denoised: Sequence[int],
        kept: Sequence[Sequence[Kept | None]] | None = None,
    ) -> None:
        self._grids = grids
        kept = kept or [[None] * len(story) for story in grids]
        self._extents = [
            [grid.extent if one is None else one.extent for grid, one in zip(*story, strict=True)]
            for story in zip(grids, kept, strict=True)
        ]
        self._rules = rules
        self._turns = [torch.complex(cos, sin) for cos, sin in angles]
        self._denoised = tuple(denoised)
        self._device = self._turns[0].device
        self._kept = [
            [None if one is None else torch.from_numpy(one.tokens).to(self._device) for one in story]
            for story in kept
        ]
        self._contexts = [
            [self._context(story, shot) for shot in self._denoised] for story in range(len(grids))
        ]

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        generator = self._rules.generator(layer)
        stories, memories = len(self._grids), self._denoised[-1]
        clean, noisy = [], []
        for story in range(stories):
            rows = [story * memories + shot for shot in range(memories)]
            read: list[tuple[Tensor, Tensor, Tensor]] = []
            for shot, row in enumerate(rows):
                _, q, k_plain, k, v = self._shot(story, shot, row, q_BHLD, k_BHLD, v_BHLD)
                clean.append(self._row(own_attention(q, k, v), q_BHLD))
                read.append((k_plain, k, v))
            past = self._memories(story, read) if read else None
            for nth, shot in enumerate(self._denoised):
                row = stories * memories + story * len(self._denoised) + nth
                q_plain, q, _, k, v = self._shot(story, shot, row, q_BHLD, k_BHLD, v_BHLD)
                context = self._contexts[story][nth]
                if past is None or not context.attended:
                    out = own_attention(q, k, v)
                elif self._rules.routing is None:
                    out = self._dense(story, context, q, k, v, past)
                else:
                    routing = self._rules.routing
                    routing_q = q_plain if routing.pooling == "before" else q
                    out = _routed(context, routing_q, q, k, v, past, routing, generator)
                noisy.append(self._row(out, q_BHLD))
        return torch.cat((*clean, *noisy))

    def _shot(
        self, story: int, shot: int, row: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Queries and keys of a row before and after rotary embedding, and values: (1, H, tokens, D)."""
        tokens = self._grids[story][shot].tokens
        turns = self._turns[story][shot, :tokens]
        q, k, v = (x[row : row + 1, :, :tokens] for x in (q_BHLD, k_BHLD, v_BHLD))
        return q, rotate_pairs(q, turns), k, rotate_pairs(k, turns), v

    @staticmethod
    def _row(out_BHLD: Tensor, like_BHLD: Tensor) -> Tensor:
        """The output with zeros behind the shot's end."""
        return pad(out_BHLD.to(like_BHLD.dtype), (0, 0, 0, like_BHLD.shape[2] - out_BHLD.shape[2]))

    def _memories(self, story: int, read: Sequence[tuple[Tensor, Tensor, Tensor]]) -> _Memories:
        plain, keys, values = (
            torch.cat([self._remembered(story, shot, x) for shot, x in enumerate(each)], dim=2)
            for each in zip(*read, strict=True)
        )
        routing = self._rules.routing
        if routing is None:
            return _Memories(keys=keys, values=values, means=keys[:, :, :0])
        layout = history_layout(self._extents[story][: len(read)], range(len(read)))
        with torch.no_grad():
            pooled = plain if routing.pooling == "before" else keys
            means = chunk_means(pooled.detach(), layout)
        return _Memories(keys=keys, values=values, means=means)

    def _remembered(self, story: int, shot: int, x_BHLD: Tensor) -> Tensor:
        """The tokens of a shot that are remembered, in chunk order."""
        tokens, in_chunks = self._kept[story][shot], self._grids[story][shot].to_chunks(x_BHLD, dim=2)
        return in_chunks if tokens is None else in_chunks.index_select(2, tokens)

    def _dense(
        self, story: int, context: _Context, q: Tensor, k: Tensor, v: Tensor, past: _Memories
    ) -> Tensor:
        """Attention of a shot to its own tokens and to all that is remembered of shots it may attend to."""
        ends = np.cumsum([0, *(extent.tokens for extent in self._extents[story])]).tolist()
        spans = [slice(ends[shot], ends[shot + 1]) for shot in context.attended]
        keys, values = (
            torch.cat([own, *(x[:, :, span] for span in spans)], dim=2)
            for own, x in ((k, past.keys), (v, past.values))
        )
        return own_attention(q, keys, values)

    def _context(self, story: int, shot: int) -> _Context:
        """What a shot may attend to, by the rules."""
        extents = self._extents[story][:shot]
        if not extents:
            nothing = torch.zeros(1, 1, 0, dtype=torch.bool, device=self._device)
            layout = ChunkLayout([0], [], [])
            return _Context(layout=layout, rules=ChunkRules(candidates=nothing), pinned=(), attended=())
        layout = history_layout(extents, range(shot))
        pinned, candidates = self._rules.pinned, self._rules.candidates
        pins = [] if pinned is None else pinned[story, shot, :shot].nonzero().flatten().tolist()
        banned = [] if candidates is None else (~candidates[story, shot, :shot]).nonzero().flatten().tolist()
        bans = [one for one in banned if one not in pins]
        rule = eligible(layout, shot, Steering(pins=tuple(pins), bans=tuple(bans)))
        return _Context(
            layout=layout,
            rules=ChunkRules(candidates=torch.from_numpy(rule.candidates).to(self._device)[None, None]),
            pinned=tuple(np.flatnonzero(rule.pinned).tolist()),
            attended=tuple(one for one in range(shot) if one not in bans),
        )


def _routed(
    context: _Context,
    routing_q: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: _Memories,
    routing: RoutingConfig,
    generator: torch.Generator | None,
) -> Tensor:
    """Attention of a shot to its own tokens and to the chunks that its queries choose."""
    layout = context.layout
    means = past.means[:, :, : layout.chunks]
    chosen = route_queries(routing_q, means, context.rules, routing, layout=layout, generator=generator)
    keys, values = (x[:, :, : layout.tokens] for x in (past.keys, past.values))
    return attend_history(
        q, k, v, keys, values, layout.offsets, chosen, pinned=context.pinned, routing=routing
    )
