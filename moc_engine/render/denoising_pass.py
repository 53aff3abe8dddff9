"""Self-attention of a shot that is being denoised: its own tokens in full, and routed chunks of the history.

Shapes: B batch, H heads, L tokens of the shot, T tokens of the history, C chunks, D head width, N layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import Pooling, RoutingConfig, Steering
from moc_engine.memory.context import History
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.wan_transformer import apply_rotary
from moc_engine.ops.gathered import gathered_attention, is_small
from moc_engine.ops.grouped import Mass, grouped_attention
from moc_engine.ops.layout import VIDEO, ChunkLayout
from moc_engine.ops.registry import choose_backend as resolve_backend
from moc_engine.ops.registry import moc_attention
from moc_engine.ops.routing import QueryGroup, Selection, choose_chunks, eligible
from moc_engine.ops.union import Rotate
from moc_engine.render.memory_pass import Angles
from moc_engine.trace.recorder import TraceRecorder

SMALL_HISTORY: Final = 1 << 28
"""Bytes up to which a history is copied for a render, ready for all entries of the batch."""

SCORES_AT_ONCE: Final = 1 << 24
"""Scores of queries against chunks that are held at a time."""


@dataclass(frozen=True, kw_only=True)
class AttentionContext:
    """What a shot may attend to: its own tokens, the history, and the routing and steering that choose."""

    shot: int
    grid: TokenGrid
    history: History | None
    routing: RoutingConfig
    steering: Steering

    @property
    def past(self) -> ChunkLayout:
        """The chunks of the history."""
        return ChunkLayout([0], [], []) if self.history is None else self.history.layout


RenderBackend = Literal["naive", "grouped", "gathered"]


def choose_backend(context: AttentionContext, rows: int, device: torch.device) -> RenderBackend:
    """The backend a render takes, once for all of it: "auto" gathers where that pays.

    Gathering needs the history on the `device` of the render.
    """
    k_NHTD = None if context.history is None else context.history.k_NHTD
    heads = 0 if k_NHTD is None else k_NHTD.shape[1]
    near = k_NHTD is None or k_NHTD.device.type == device.type
    small = near and is_small(
        rows=rows * heads,
        tokens=context.grid.tokens,
        top_k=context.routing.top_k,
        history_offsets=context.past.offsets,
    )
    wanted = context.routing.backend
    return "gathered" if wanted == "auto" and small else resolve_backend(wanted)


class DenoisingPass:
    """A shot being denoised: its tokens see their own shot in full and what they choose of the history.

    Every entry of a batch, of at most `rows`, reads the same history. The first is recorded by `recorder`,
    where there is one, as step `step`. Raises `ValueError` where the steering speaks of a shot not in the
    history.
    """

    def __init__(
        self,
        context: AttentionContext,
        angles: Angles,
        device: torch.device,
        *,
        rows: int = 1,
        small_history: int = SMALL_HISTORY,
    ) -> None:
        self.step = 0
        self.recorder: TraceRecorder | None = None
        self._grid = context.grid
        self._shot = context.shot
        self._routing = context.routing
        self._steering = context.steering
        self.backend = choose_backend(context, rows, device)
        self._angles = angles(context.grid.positions_3T.to(device))
        rule = eligible(context.past, context.shot, context.steering)
        self._pins = np.flatnonzero(rule.pinned).tolist()
        self._candidates = torch.tensor(rule.candidates).to(device)
        self._boosts = torch.tensor(rule.boosts).to(device) if rule.boosts.any() else None
        self._history: PreparedHistory | None = None
        if context.history is not None:
            pooling = context.routing.pooling
            shared = self.backend == "gathered"
            self._history = PreparedHistory(
                context.history, angles, device, pooling, rows, small_history, shared=shared
            )

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD))
        turned_q, turned_k = (apply_rotary(x, *self._angles) for x in (q, k))
        if self._history is None:
            out, mass = grouped_attention(turned_q, turned_k, v)
            self._record(layer, mass, q.new_empty(*q.shape[1:3], 0, dtype=torch.int64))
            return self._grid.to_model(out, dim=2)
        indices = self._choose(self._history, layer, q if self._routing.pooling == "before" else turned_q)
        look = self._look_naively if self.backend == "naive" else self._look
        outs = []
        for first in range(0, len(q), self._history.rows):
            rows = slice(first, first + self._history.rows)
            out, mass = look(self._history, layer, turned_q[rows], turned_k[rows], v[rows], indices[rows])
            outs.append(out)
            if first == 0:
                self._record(layer, mass, indices[0])
        return self._grid.to_model(torch.cat(outs), dim=2)

    def _choose(self, history: PreparedHistory, layer: int, q_BHLD: Tensor) -> Tensor:
        """The chunks of the history (B, H, L, K) that each query routes to; tiled, so no L × C is held."""
        means_HDC = history.means_NHDC[layer]
        tile = max(1, SCORES_AT_ONCE // (q_BHLD.shape[0] * means_HDC.shape[0] * means_HDC.shape[2]))
        chosen = []
        for q in q_BHLD.float().split(tile, dim=2):
            scores = q @ means_HDC
            if self._boosts is not None:
                scores += self._boosts
            chosen.append(choose_chunks(scores, self._candidates, self._routing, layout=history.layout))
        return torch.cat(chosen, dim=2)

    def _look(
        self, history: PreparedHistory, layer: int, q: Tensor, k: Tensor, v: Tensor, indices: Tensor
    ) -> tuple[Tensor, Mass]:
        attention = gathered_attention if self.backend == "gathered" else grouped_attention
        return attention(
            q,
            k,
            v,
            history.k_NBHTD[layer, : len(q)],
            history.v_NBHTD[layer, : len(q)],
            history.layout.offsets,
            indices,
            pinned=self._pins,
            rotate=history.rotate,
        )

    def _look_naively(
        self, history: PreparedHistory, layer: int, q: Tensor, k: Tensor, v: Tensor, indices: Tensor
    ) -> tuple[Tensor, Mass]:
        """The same by the oracle: all keys side by side, one masked softmax."""
        past_k, past_v = (x[layer, : len(q)].to(q.device) for x in (history.k_NBHTD, history.v_NBHTD))
        if history.rotate is not None:
            past_k = history.rotate(past_k, torch.arange(history.layout.tokens, device=q.device))
        keys, values = torch.cat((past_k, k), dim=2), torch.cat((past_v, v), dim=2)
        layout, chunks = _with_own(history.layout, self._shot, k.shape[2]), history.layout.chunks
        own, pinned = np.arange(chunks + 1) == chunks, np.isin(np.arange(chunks + 1), self._pins)
        group = QueryGroup(
            shot=self._shot,
            start=0,
            stop=q.shape[2],
            own=own,
            captions=np.zeros_like(own),
            pinned=pinned,
        )
        selection = Selection(indices=indices, groups=(group,), layout=layout)
        out, mass_BHLC = moc_attention(q, keys, values, layout, selection, "naive", return_mass=True)
        return out, Mass(
            own=mass_BHLC[..., chunks:],
            pinned=mass_BHLC[..., self._pins],
            routed=mass_BHLC.gather(-1, indices.clamp(min=0)).masked_fill(indices < 0, 0),
        )

    def _record(self, layer: int, mass: Mass, indices_HLK: Tensor) -> None:
        if self.recorder is None:
            return
        self.recorder.add(
            layer=layer,
            step=self.step,
            own=mass.own[0].float().cpu().numpy(),
            routed=mass.routed[0].float().cpu().numpy(),
            indices=indices_HLK.cpu().numpy(),
            pinned=mass.pinned[0].float().cpu().numpy(),
            pins=self._pins,
        )


class PreparedHistory:
    """A history made ready for one render.

    A small one is rotated once, and laid out for `rows` entries of the batch at a time unless they can
    share it. A large one stays where and as it is, its keys are rotated as they are gathered, and entries
    take turns at it.
    """

    def __init__(
        self,
        history: History,
        angles: Angles,
        device: torch.device,
        pooling: Pooling,
        rows: int,
        small: int,
        *,
        shared: bool,
    ) -> None:
        self.layout = history.layout
        self.means_NHDC = _means(history, angles, pooling, device)
        self._angles = angles(history.positions_3T.to(device))
        self.rotate: Rotate | None = None
        k, v = history.k_NHTD, history.v_NHTD
        if (k.nbytes + v.nbytes) * rows <= small:
            self.rows = rows
            both = (apply_rotary(k.to(device), *self._angles)[:, None], v.to(device)[:, None])
            self.k_NBHTD, self.v_NBHTD = both if shared else (x.repeat(1, rows, 1, 1, 1) for x in both)
        else:
            self.rows = 1
            self.k_NBHTD, self.v_NBHTD = k[:, None], v[:, None]
            self.rotate = self._turned

    def _turned(self, k: Tensor, tokens: Tensor) -> Tensor:
        cos, sin = self._angles
        return apply_rotary(k, cos[tokens], sin[tokens])


def _with_own(past: ChunkLayout, shot: int, tokens: int) -> ChunkLayout:
    """The chunks of a history and, after them, a shot's own tokens as one."""
    return ChunkLayout(
        np.append(past.offsets, past.tokens + tokens), np.append(past.shot, shot), np.append(past.kind, VIDEO)
    )


def _means(history: History, angles: Angles, pooling: Pooling, device: torch.device) -> Tensor:
    """What the router compares with (N, H, D, C).

    Means taken after rotation stand at their take's own time; turning them by where the take begins
    moves them to their place, for a mean of turned keys is the turned mean of keys.
    """
    means = history.means_NHCD.to(device)
    if pooling == "after":
        start = history.start_C.to(device)
        means = apply_rotary(means, *angles(torch.stack((start, start * 0, start * 0))))
    return means.transpose(2, 3).contiguous()
