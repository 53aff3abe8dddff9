"""Self-attention of a shot that is being denoised: its own tokens in full, and routed chunks of the history.

Shapes: B batch, H heads, L tokens of the shot, T tokens of the history, C chunks, D head width, N layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.errors import EngineError
from moc_engine.memory.estimate import PAGE_BYTES
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.history import History
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.memory.pages import Traffic
from moc_engine.models.base import ExtraTokens
from moc_engine.models.dense_attention import NATIVE, attend_densely
from moc_engine.ops.backend import Mass, Need, Work
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.registry import Chosen, choose_backend
from moc_engine.ops.rotary import rotate_pairs
from moc_engine.ops.routing import Eligibility, eligible
from moc_engine.ops.workspace import Workspace
from moc_engine.render.memory_pass import Angles
from moc_engine.render.prepared_history import PagedKeys, PreparedHistory
from moc_engine.render.render_router import RenderRouter
from moc_engine.trace.recorder import TraceRecorder


@dataclass(frozen=True, kw_only=True)
class AttentionContext:
    """What a shot may attend to: its own tokens, the history, and the routing and steering that choose.

    `heads` are those of the model, by which settings and backends are chosen; a process that renders with
    others has some of them (None: all, which are the history's).
    """

    shot: int
    grid: TokenGrid
    history: History | PagedHistory | None
    routing: RoutingConfig
    steering: Steering
    heads: int | None = None

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
        below = resolved_full_below(
            self.routing,
            device.type,
            rows=rows * (self.heads or self.history.heads),
            tokens=self.grid.tokens,
            head_size=self.history.head_size,
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


def choose_render_backend(
    context: AttentionContext, rows: int, device: torch.device, *, segmented: bool = False
) -> Chosen:
    """The attention backend of a whole render on `device` for `rows` entries of the batch, and why.

    The context must be resolved; `segmented` says that a layer of its history comes in several segments.
    Raises `EngineError` where the backend asked for is not there or cannot.
    """
    history = context.history
    need = Need(
        form="history",
        device=device.type,
        dtype=None if history is None else history.dtype,
        history_device=None if history is None else _history_device(history, device).type,
        mass=True,
        segmented=segmented,
        work=None
        if history is None
        else Work(
            rows=rows * (context.heads or history.heads),
            tokens=context.grid.tokens,
            top_k=None if context.is_full else context.routing.top_k,
            head_size=history.head_size,
            history_offsets=context.history_layout.offsets,
        ),
    )
    try:
        return choose_backend(context.routing.backend, need)
    except ValueError as error:
        raise EngineError(str(error)) from error


def _history_device(history: History | PagedHistory, device: torch.device) -> torch.device:
    """Where a backend finds the keys: pages are brought to the device."""
    return device if isinstance(history, PagedHistory) else history.k_NHTD.device


class DenoisingPass:
    """Attention of the shot being denoised: to its own tokens in full, and to routed chunks of the history.

    Where attention is full, all chunks that the shot may choose are attended to as pins are. All entries of a
    batch (at most `rows`) attend to the same history. Extra tokens of the sequence are own keys: the whole
    shot attends to them, and they are recorded with it. Routers other than MoC's are told the number of
    `steps`. The first entry is recorded by `recorder`, if there is one. Raises `ValueError` where the
    steering names a shot that is not in the history.

    A history side by side is copied, ready for all entries of the batch, where it has at most `page_bytes`;
    through so many bytes a paged one is brought in. What attends to all its keys, such as a shot without a
    history, does so by a `dense_backend` of diffusers; a history is attended to by a backend of the engine.
    """

    def __init__(
        self,
        context: AttentionContext,
        angles: Angles,
        device: torch.device,
        *,
        rows: int = 1,
        steps: int = 1,
        page_bytes: int = PAGE_BYTES,
        workspace: Workspace | None = None,
        dense_backend: str = NATIVE,
    ) -> None:
        self._dense_backend = dense_backend
        self.recorder: TraceRecorder | None = None
        self.context = context = context.resolved(rows, device)
        self._grid = context.grid
        self._routing = context.routing
        past = context.history
        pages = None
        if isinstance(past, PagedHistory):
            pages = PagedKeys(past, angles, device, context.routing.pooling, page_bytes)
        self.chosen = choose_render_backend(
            context, rows, device, segmented=pages is not None and pages.segmented
        )
        backend = self.chosen.backend
        self._turns = torch.complex(*angles(context.grid.positions_3T.to(device)))
        rule = context.rule
        self._full = context.is_full
        self._pins = np.flatnonzero(rule.pinned | (rule.candidates & self._full)).tolist()
        self._rules = ChunkRules(
            candidates=torch.tensor(rule.candidates).to(device)[None, None],
            boosts=torch.tensor(rule.boosts).to(device)[None, None] if rule.boosts.any() else None,
        )
        self._router: RenderRouter | None = None
        if past is not None and context.routing.router != "moc":
            layout = context.history_layout
            self._router = RenderRouter(
                context.routing, context.grid, layout, rule, shot=context.shot, steps=steps, device=device
            )
        self._history: PreparedHistory | PagedKeys | None = pages
        if isinstance(past, History):
            self._history = PreparedHistory(
                past,
                angles,
                device,
                context.routing.pooling,
                rows,
                page_bytes,
                workspace or Workspace(0),
                shared=backend.shared_history,
            )

    @property
    def traffic(self) -> Traffic | None:
        """What was moved of a paged history so far; None for one that lies ready."""
        return self._history.traffic if isinstance(self._history, PagedKeys) else None

    def close(self) -> None:
        """Gives the memory back through which a paged history is brought in."""
        if isinstance(self._history, PagedKeys):
            self._history.close()

    def begin(self, step: int) -> None:
        """The runs of the transformer from now on are those of `step`."""
        if self._router is not None:
            self._router.begin(step)
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
        routing_qk = (q, k) if self._routing.pooling == "before" else (rotated_q, rotated_k)
        return self._attend(layer, routing_qk, rotated_q, rotated_k, v)

    def attend_jointly(
        self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor, extra: ExtraTokens
    ) -> tuple[Tensor, Tensor]:
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD))
        rotated_q, rotated_k = (rotate_pairs(x, self._turns) for x in (q, k))
        own_k, own_v = torch.cat((rotated_k, extra.k_BHSD), dim=2), torch.cat((v, extra.v_BHSD), dim=2)
        of_extra = attend_densely(extra.q_BHSD, own_k, own_v, backend=self._dense_backend)
        routing_qk = (q, k) if self._routing.pooling == "before" else (rotated_q, rotated_k)
        return self._attend(layer, routing_qk, rotated_q, own_k, own_v), of_extra

    def _attend(
        self,
        layer: int,
        routing_qk: tuple[Tensor, Tensor],
        rotated_BHLD: Tensor,
        own_k_BHSD: Tensor,
        own_v_BHSD: Tensor,
    ) -> Tensor:
        """The output of rotated queries for own keys and the history; `routing_qk` are those of the shot, as
        descriptors are compared.
        """
        backend = self.chosen.backend
        if self._history is None:
            out = attend_densely(rotated_BHLD, own_k_BHSD, own_v_BHSD, backend=self._dense_backend)
            indices, nothing = (
                rotated_BHLD.new_empty(*rotated_BHLD.shape[:3], 0, dtype=dtype)
                for dtype in (torch.int64, torch.float32)
            )
            mass = Mass(own=nothing.new_ones(*nothing.shape[:3], 1), pinned=nothing, routed=nothing)
            self._record(layer, mass, indices[0])
            return self._grid.to_model(out, dim=2)
        indices = self._choose(self._history, layer, *routing_qk)
        out, mass = self._history.attend(
            backend, layer, rotated_BHLD, own_k_BHSD, own_v_BHSD, indices, self._pins
        )
        self._record(layer, mass, indices[0])
        return self._grid.to_model(out, dim=2)

    def _choose(
        self, history: PreparedHistory | PagedKeys, layer: int, q_BHLD: Tensor, own_k_BHLD: Tensor
    ) -> Tensor:
        """The chunks that each query routes to (B, H, L, K); none where attention is full."""
        if self._full:
            return torch.empty(*q_BHLD.shape[:3], 0, dtype=torch.int64, device=q_BHLD.device)
        if self._router is not None:
            return self._router.choose(layer, q_BHLD, own_k_BHLD, history.means_NHCD[layer])
        return route_queries(
            q_BHLD, history.means_NHCD[layer, None], self._rules, self._routing, layout=history.layout
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
