"""Self-attention of a shot that is being denoised: its own tokens in full, and routed chunks of the history.

Shapes: B batch, H heads, L tokens of the shot, T tokens of the history, C chunks, D head width, N layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import Pooling, RoutingConfig, Steering
from moc_engine.errors import EngineError
from moc_engine.memory.context import History
from moc_engine.memory.grid import TokenGrid
from moc_engine.ops.backend import Mass, Need, Work
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.registry import Chosen, choose_backend
from moc_engine.ops.rotary import Rotary, apply_rotary, rotate_into, rotate_pairs
from moc_engine.ops.routing import Eligibility, eligible
from moc_engine.ops.workspace import Workspace
from moc_engine.render.memory_pass import Angles
from moc_engine.trace.recorder import TraceRecorder

SMALL_HISTORY: Final = 1 << 28
"""Bytes up to which a history is copied for a render, ready for all entries of the batch."""

NO_CHUNKS: Final = np.zeros(1, dtype=np.int64)
"""The chunk offsets of an empty history."""


@dataclass(frozen=True, kw_only=True)
class AttentionContext:
    """What a shot may attend to: its own tokens, the history, and the routing and steering that choose."""

    shot: int
    grid: TokenGrid
    history: History | None
    routing: RoutingConfig
    steering: Steering

    @cached_property
    def rule(self) -> Eligibility:
        """What the shot may choose, and must attend to; `ValueError` for steering of absent shots."""
        return eligible(self.history_layout, self.shot, self.steering)

    @cached_property
    def tokens(self) -> int:
        """How many tokens the shot may attend to, with its own."""
        lengths = self.history_layout.lengths
        return self.grid.tokens + int(lengths[self.rule.candidates | self.rule.pinned].sum())

    def resolved(self, rows: int, device: torch.device) -> AttentionContext:
        """The context with the number of tokens below which attention is full, where it is "auto".

        `rows` are the entries of the batch. Without a history there is nothing to decide.
        """
        if self.history is None:
            return self
        _, H, _, D = self.history.k_NHTD.shape
        below = resolved_full_below(
            self.routing,
            device.type,
            rows=rows * H,
            tokens=self.grid.tokens,
            head_size=D,
            chunk_lengths=self.history_layout.lengths[self.rule.candidates],
            mandatory=int(self.history_layout.lengths[self.rule.pinned].sum()),
        )
        return replace(self, routing=replace(self.routing, full_below=below))

    @property
    def is_full(self) -> bool:
        """Whether the shot attends to all that it may choose, without routing; "auto" must be resolved."""
        below = self.routing.full_below
        return self.history is not None and below != "auto" and self.tokens < below

    @property
    def history_layout(self) -> ChunkLayout:
        """The chunks of the history."""
        return ChunkLayout([0], [], []) if self.history is None else self.history.layout


def choose_render_backend(context: AttentionContext, rows: int, device: torch.device) -> Chosen:
    """The attention backend of a whole render on `device` for `rows` entries of the batch, and why.

    The context must be resolved. Raises `EngineError` where the backend asked for is not there or cannot.
    """
    k_NHTD = None if context.history is None else context.history.k_NHTD
    need = Need(
        form="history",
        device=device.type,
        dtype=None if k_NHTD is None else k_NHTD.dtype,
        history_device=None if k_NHTD is None else k_NHTD.device.type,
        mass=True,
        work=None
        if k_NHTD is None
        else Work(
            rows=rows * k_NHTD.shape[1],
            tokens=context.grid.tokens,
            top_k=0 if context.is_full else context.routing.top_k,
            head_size=k_NHTD.shape[-1],
            history_offsets=context.history_layout.offsets,
        ),
    )
    try:
        return choose_backend(context.routing.backend, need)
    except ValueError as error:
        raise EngineError(str(error)) from error


class DenoisingPass:
    """Attention of the shot being denoised: to its own tokens in full, and to routed chunks of the history.

    Where attention is full, all chunks that the shot may choose are attended to as pins are. All entries of a
    batch (at most `rows`) attend to the same history. The first entry is recorded by `recorder`, if there is
    one. Raises `ValueError` where the steering names a shot that is not in the history.
    """

    def __init__(
        self,
        context: AttentionContext,
        angles: Angles,
        device: torch.device,
        *,
        rows: int = 1,
        small_history: int = SMALL_HISTORY,
        workspace: Workspace | None = None,
    ) -> None:
        self.recorder: TraceRecorder | None = None
        self.context = context = context.resolved(rows, device)
        self._grid = context.grid
        self._routing = context.routing
        self.chosen = choose_render_backend(context, rows, device)
        backend = self.chosen.backend
        assert backend.over_history is not None
        self._attention = backend.over_history
        self._turns = torch.complex(*angles(context.grid.positions_3T.to(device)))
        rule = context.rule
        self._full = context.is_full
        self._pins = np.flatnonzero(rule.pinned | (rule.candidates & self._full)).tolist()
        self._rules = ChunkRules(
            candidates=torch.tensor(rule.candidates).to(device)[None, None],
            boosts=torch.tensor(rule.boosts).to(device)[None, None] if rule.boosts.any() else None,
        )
        self._history: PreparedHistory | None = None
        if context.history is not None:
            pooling = context.routing.pooling
            shared = backend.shared_history
            self._history = PreparedHistory(
                context.history,
                angles,
                device,
                pooling,
                rows,
                small_history,
                workspace or Workspace(0),
                shared=shared,
            )

    def begin(self, step: int) -> None:
        """The runs of the transformer from now on are those of `step`."""
        if self.recorder is not None:
            self.recorder.begin(step)

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Within the context, nothing is recorded."""
        recorder, self.recorder = self.recorder, None
        try:
            yield
        finally:
            self.recorder = recorder

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD))
        rotated_q, rotated_k = (rotate_pairs(x, self._turns) for x in (q, k))
        if self._history is None:
            nothing = v[:, :, :0]
            indices = q.new_empty(*q.shape[:3], 0, dtype=torch.int64)
            out, mass = self._attention(rotated_q, rotated_k, v, nothing, nothing, NO_CHUNKS, indices)
            self._record(layer, mass, indices[0])
            return self._grid.to_model(out, dim=2)
        indices = self._choose(self._history, layer, q if self._routing.pooling == "before" else rotated_q)
        if self._history.rows >= len(q):
            out, mass = self._attend(self._history, layer, rotated_q, rotated_k, v, indices)
            self._record(layer, mass, indices[0])
            return self._grid.to_model(out, dim=2)
        outs = []
        for first in range(0, len(q), self._history.rows):
            rows = slice(first, first + self._history.rows)
            out, mass = self._attend(
                self._history, layer, rotated_q[rows], rotated_k[rows], v[rows], indices[rows]
            )
            outs.append(out)
            if first == 0:
                self._record(layer, mass, indices[0])
        return self._grid.to_model(torch.cat(outs), dim=2)

    def _choose(self, history: PreparedHistory, layer: int, q_BHLD: Tensor) -> Tensor:
        """The chunks that each query routes to (B, H, L, K); none where attention is full."""
        if self._full:
            return torch.empty(*q_BHLD.shape[:3], 0, dtype=torch.int64, device=q_BHLD.device)
        return route_queries(
            q_BHLD, history.means_NHCD[layer, None], self._rules, self._routing, layout=history.layout
        )

    def _attend(
        self, history: PreparedHistory, layer: int, q: Tensor, k: Tensor, v: Tensor, indices: Tensor
    ) -> tuple[Tensor, Mass]:
        return self._attention(
            q,
            k,
            v,
            history.k_NBHTD[layer, : len(q)],
            history.v_NBHTD[layer, : len(q)],
            history.layout.offsets,
            indices,
            pinned=self._pins,
            rotary=history.rotary,
        )

    def _record(self, layer: int, mass: Mass, indices_HLK: Tensor) -> None:
        if self.recorder is None:
            return
        self.recorder.add(
            layer=layer,
            own=mass.own[0],
            routed=mass.routed[0],
            indices=indices_HLK,
            pinned=mass.pinned[0],
            pins=self._pins,
        )


class PreparedHistory:
    """A history prepared for one render: its routing means, and its keys and values on the device.

    A small history is rotated once, in the `workspace`, and repeated for `rows` entries of the batch unless
    the backend lets them share it. A large one stays on its device, its keys are rotated as they are read,
    and the entries of the batch are computed one after the other.
    """

    def __init__(
        self,
        history: History,
        angles: Angles,
        device: torch.device,
        pooling: Pooling,
        rows: int,
        small: int,
        workspace: Workspace,
        *,
        shared: bool,
    ) -> None:
        self.layout = history.layout
        self.means_NHCD = _routing_means(history, angles, pooling, device)
        cos, sin = angles(history.positions_3T.to(device))
        self.rotary: Rotary | None = None
        k, v = history.k_NHTD, history.v_NHTD
        if (k.nbytes + v.nbytes) * rows <= small:
            self.rows = rows
            rotated = workspace.empty("rotated keys", k.shape, k.dtype, device)
            rotate_into(rotated, k.to(device), torch.complex(cos, sin))
            both = (rotated[:, None], v.to(device)[:, None])
            self.k_NBHTD, self.v_NBHTD = both if shared else (x.repeat(1, rows, 1, 1, 1) for x in both)
        else:
            self.rows = 1
            self.k_NBHTD, self.v_NBHTD = k[:, None], v[:, None]
            self.rotary = Rotary(cos=cos, sin=sin)


def _routing_means(history: History, angles: Angles, pooling: Pooling, device: torch.device) -> Tensor:
    """The chunk means that the router compares with (N, H, C, D).

    Means taken after rotation are at their take's own time. Rotating them by the start of the take moves them
    to their time in the history: rotation is linear, so it commutes with the mean.
    """
    means = history.means_NHCD.to(device)
    if pooling == "after":
        start = history.start_C.to(device)
        means = apply_rotary(means, *angles(torch.stack((start, start * 0, start * 0))))
    return means
