"""Records the routing of a shot while it is rendered, and makes its `RoutingTrace`.

Shares are summed as whole numbers, so that the sums depend on no order, on the device that attends: nothing
is read back before `finish`.

Shapes: H heads, L query tokens, K routed chunks per query; Q query and C context chunks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.ops.head_split import HeadSplit
from moc_engine.trace.record import ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.units import sums_in_units

STEP_GROUPS: Final = 4
TABLE_CELLS: Final = 4_000_000
"""A larger table has its groups of steps, then its heads, averaged further: 3 bytes a cell at most."""

SLACK: Final = 1e-2
"""The largest error in the sum of a query's shares, as half precision causes it."""

TOKEN_CELLS: Final = 4_000_000
"""A larger token map has runs of tokens averaged: 2 bytes a cell at most."""

UNITS: Final = 1 << 24
"""A share of 1 as a whole number: as fine as float32, and 2^39 of them fit into 64 bits."""

SHARES_AT_ONCE: Final = 1 << 22
"""Shares that are added at a time; heads of larger layers are added block by block."""


class TraceRecorder:
    """Sums up the shares of attention of one shot, layer by layer and step by step; `finish` gives the trace.

    The context chunks stand in the order own, history, captions: the columns of `add`'s arguments, which lie
    on `device`. With `may_skip`, layers that were not added at a step count as skipped: the trace names them,
    and shows the attention of the last group of steps in which they ran. With a `split`, each process adds
    the shares of its own of the `heads`, and `finish` gives each of them the trace of all.
    """

    def __init__(
        self,
        *,
        shot: int,
        model: str,
        backend: str,
        routing: Mapping[str, Any],
        steering: Mapping[str, Any],
        query: Sequence[QueryChunk],
        context: Sequence[ContextChunk],
        layers: int,
        heads: int,
        steps: int,
        may_skip: bool = False,
        device: torch.device | str = "cpu",
        split: HeadSplit | None = None,
    ) -> None:
        kinds = [chunk.kind for chunk in context]
        if kinds != sorted(kinds, key=("own", "history", "caption").index):
            raise ValueError("context: must stand in the order own, history, captions")
        self._named: dict[str, Any] = {"shot": shot, "model": model, "backend": backend}
        self._named |= {"routing": dict(routing), "steering": dict(steering)}
        self._query, self._context = tuple(query), tuple(context)
        self._own, self._history = kinds.count("own"), kinds.count("history")
        Q, C = len(self._query), len(self._context)

        groups, bins = _resolution(layers, heads, min(STEP_GROUPS, steps), Q * C)
        self._group_of_step = np.arange(steps) * groups // steps
        self._bin_of_head = np.arange(heads) * bins // heads
        self._recorded: list[set[int]] = [set() for _ in range(groups)]
        self._layers, self._may_skip = layers, may_skip
        self._ran: dict[int, set[int]] = {}
        self._step = 0

        tokens = np.array([chunk.tokens for chunk in self._query])
        self._token_run = max(1, -(-int(tokens.sum()) * C // TOKEN_CELLS))
        runs = -(-tokens // self._token_run)
        first_run = np.cumsum(runs) - runs
        chunk_of_token = np.repeat(np.arange(Q), tokens)
        within = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)
        run_of_token = first_run[chunk_of_token] + within // self._token_run

        self._device = torch.device(device)
        self._split = split
        own = range(heads) if split is None else split.own(heads)
        self._heads, self._tokens = len(own), len(chunk_of_token)
        shape = (layers, bins, groups, Q, C)
        sizes = (math.prod(shape), int(runs.sum()) * C)
        self._sums = _zeros(sum(sizes), torch.int64, self._device)
        table, token_table = self._sums.split(sizes)
        self._table, self._token_table = table.view(shape), token_table.view(-1, C)
        self._picks = _zeros(math.prod(shape), torch.int32, self._device).view(shape)
        self._least, self._greatest = (torch.ones((), device=self._device) for _ in range(2))
        self._cells_of_group = Q * C
        first_cell = (self._bin_of_head[own.start : own.stop, None] * groups * Q + chunk_of_token) * C
        self._first_cell = torch.tensor(first_cell).to(self._device)[..., None]
        self._first_cell_of_step = self._first_cell.clone()
        self._first_token_cell = torch.tensor(run_of_token * C).to(self._device)[:, None]
        self._dense_columns: dict[tuple[int, ...], Tensor] = {}

    def begin(self, step: int) -> None:
        """What is added from now on belongs to `step`."""
        group = int(self._group_of_step[step])
        self._recorded[group].add(step)
        self._step = step
        torch.add(self._first_cell, group * self._cells_of_group, out=self._first_cell_of_step)

    @torch.no_grad()
    def add(
        self,
        *,
        layer: int,
        own: Tensor,
        routed: Tensor,
        indices: Tensor,
        pinned: Tensor | None = None,
        pins: Sequence[int] = (),
        captions: Tensor | None = None,
    ) -> None:
        """Adds the shares of attention of one layer; those of a query sum to 1, which `finish` checks.

        `own` (H, L, own chunks), `captions` (H, L, caption chunks) and `pinned` (H, L, pins) are in full;
        `routed` (H, L, K) goes to the history chunks `indices` (H, L, K), -1 for none, `pinned` to the
        history chunks `pins`. Raises `ValueError` for wrong shapes.
        """
        rows = (self._heads, self._tokens)
        if own.shape != (*rows, self._own):
            raise ValueError(f"own: expected {(*rows, self._own)}, got {tuple(own.shape)}")
        if routed.shape != indices.shape or routed.shape[:2] != rows:
            raise ValueError(f"routed: expected {rows} and the shape of indices, got {tuple(routed.shape)}")
        dense = [own, *(further for further in (pinned, captions) if further is not None)]
        columns = self._columns(tuple(pins), captions is not None)
        shares = sum(part.shape[-1] for part in dense)
        if shares != len(columns):
            raise ValueError(f"pinned, captions: expected {len(columns)} shares with own, got {shares}")
        self._ran.setdefault(self._step, set()).add(layer)
        at_once = max(1, SHARES_AT_ONCE // max(1, self._tokens * (shares + indices.shape[-1])))
        for first in range(0, self._heads, at_once):
            heads = slice(first, first + at_once)
            self._add(layer, heads, [part[heads] for part in dense], columns, routed[heads], indices[heads])

    def _add(
        self,
        layer: int,
        heads: slice,
        dense: Sequence[Tensor],
        dense_columns: Tensor,
        routed: Tensor,
        indices: Tensor,
    ) -> None:
        chosen = indices >= 0
        shares = torch.cat((*dense, routed.where(chosen, 0)), dim=-1).float()
        least, greatest = shares.sum(dim=-1).aminmax()  # NaN where a share is
        torch.minimum(self._least, least, out=self._least)
        torch.maximum(self._greatest, greatest, out=self._greatest)
        columns = torch.cat(
            (
                dense_columns.expand(*indices.shape[:2], -1),
                (indices + self._own).clamp_(min=0),  # what is not chosen adds nothing anywhere
            ),
            dim=-1,
        )
        units = (shares * UNITS).round_().long().flatten()
        cells = columns + self._first_cell_of_step[heads]
        self._table[layer].view(-1).index_add_(0, cells.flatten(), units)
        routed_cells = cells[..., len(dense_columns) :]
        self._picks[layer].view(-1).index_add_(0, routed_cells.flatten(), chosen.flatten().int())
        self._token_table.view(-1).index_add_(0, columns.add_(self._first_token_cell).flatten(), units)

    def _steps(self) -> list[int]:
        return sorted(step for steps in self._recorded for step in steps)

    def _columns(self, pins: tuple[int, ...], captions: bool) -> Tensor:
        """The context chunks of the shares that are given in full."""
        key = (*pins, -1) if captions else pins
        if key not in self._dense_columns:
            columns = [*range(self._own), *(pin + self._own for pin in pins)]
            if captions:
                columns += range(self._own + self._history, len(self._context))
            self._dense_columns[key] = torch.tensor(columns, dtype=torch.int64).to(self._device)
        return self._dense_columns[key]

    def finish(self) -> RoutingTrace:
        """The trace of all that was added, after which nothing may be; groups without a step are left out.

        Raises `ValueError` where nothing was recorded, or a query's shares did not sum to 1.
        """
        kept = [group for group, steps in enumerate(self._recorded) if steps]
        if not kept:
            raise ValueError("there is nothing recorded")
        if self._split is not None:
            self._split.sum_(self._sums, self._picks)
            least, minus_greatest = self._least, -self._greatest
            self._split.least_(least, minus_greatest)
            self._greatest = -minus_greatest
        for total in torch.stack((self._least, self._greatest)).tolist():
            if not abs(total - 1) <= SLACK:  # NaN too
                raise ValueError(
                    f"own, routed, pinned, captions: a query's shares must sum to 1, got {total:.3g}"
                )
        sums, picks = self._sums.cpu().numpy(), self._picks.cpu().numpy()
        table, token_table = (
            part.reshape(tuple(like.shape))
            for part, like in zip(
                np.split(sums, [self._table.numel()]), (self._table, self._token_table), strict=True
            )
        )
        if len(kept) < len(self._recorded):
            table, picks = (np.ascontiguousarray(part[:, :, kept]) for part in (table, picks))
        if self._may_skip:
            table, picks = _filled(table, picks)
            skipped = {
                step: sorted(set(range(self._layers)) - self._ran.get(step, set())) for step in self._steps()
            }
            self._named["routing"]["skipped"] = [[step, layers] for step, layers in skipped.items() if layers]
        recorded = np.any(table, axis=-1)
        if not recorded.all():
            raise ValueError(f"layer {int(np.argwhere(~recorded)[0][0])} was not recorded at every step")
        spans = [np.flatnonzero(self._group_of_step == group) for group in kept]
        return RoutingTrace(
            **self._named,
            query=self._query,
            context=self._context,
            step_groups=tuple((int(span[0]), int(span[-1]) + 1) for span in spans),
            weights=tuple(len(self._recorded[group]) for group in kept),
            heads=tuple(np.bincount(self._bin_of_head).tolist()),
            token_run=self._token_run,
            table=sums_in_units(table),
            picks=picks.view(np.uint32),
            token_table=sums_in_units(token_table),
        )


def _zeros(count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros on a device; on a CPU numpy's, which lie in large pages where the system has them."""
    if device.type != "cpu":
        return torch.zeros(count, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(count * dtype.itemsize, dtype=np.uint8)).view(dtype)


def _filled(table: NDArray[np.int64], picks: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The sums; layers that ran at no step of a group get those of the last group in which they ran."""
    table, picks = table.copy(), picks.copy()
    ran = np.asarray(np.any(table, axis=(1, 3, 4)))
    for layer, group in np.argwhere(~ran):
        before = np.flatnonzero(ran[layer, :group])
        if len(before):
            table[layer, :, group], picks[layer, :, group] = (
                table[layer, :, before[-1]],
                picks[layer, :, before[-1]],
            )
    return table, picks


def _resolution(layers: int, heads: int, groups: int, cells: int) -> tuple[int, int]:
    """The number of groups of steps and of heads with `cells` each that stay within `TABLE_CELLS`."""
    while layers * heads * groups * cells > TABLE_CELLS and groups * heads > 1:
        if groups > 1:
            groups //= 2
        else:
            heads = (heads + 1) // 2
    return groups, heads
