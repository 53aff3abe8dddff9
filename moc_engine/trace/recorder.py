"""Records the routing of a shot while it is rendered, and makes its `RoutingTrace`. numpy only.

Shapes: H heads, L query tokens, K routed chunks per query; Q query and C context chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace.record import ContextChunk, Floats, QueryChunk, RoutingTrace, in_units

STEP_GROUPS: Final = 4
TABLE_CELLS: Final = 4_000_000
"""A larger table has its groups of steps, then its heads, averaged further: 3 bytes a cell at most."""

SLACK: Final = 1e-2
"""The largest error in the sum of a query's shares, as half precision causes it."""

TOKEN_CELLS: Final = 4_000_000
"""A larger token map has runs of tokens averaged: 2 bytes a cell at most."""


class TraceRecorder:
    """Sums up the shares of attention of one shot, layer by layer and step by step; `finish` gives the trace.

    The context chunks stand in the order own, history, captions: the columns of `add`'s arguments.
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
        self._table = np.zeros((layers, groups, bins, Q, C))
        self._picks = np.zeros((layers, groups, bins, Q, C), dtype=np.uint32)

        tokens = np.array([chunk.tokens for chunk in self._query])
        self._token_run = max(1, -(-int(tokens.sum()) * C // TOKEN_CELLS))
        runs = -(-tokens // self._token_run)
        first_run = np.cumsum(runs) - runs
        self._chunk_of_token = np.repeat(np.arange(Q), tokens)
        within = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)
        self._run_of_token = first_run[self._chunk_of_token] + within // self._token_run
        self._token_table = np.zeros((int(runs.sum()), C))

    def add(
        self,
        *,
        layer: int,
        step: int,
        own: NDArray[Any],
        routed: NDArray[Any],
        indices: NDArray[Any],
        pinned: NDArray[Any] | None = None,
        pins: Sequence[int] = (),
        captions: NDArray[Any] | None = None,
    ) -> None:
        """Adds the shares of attention of one layer at one step; those of a query sum to 1.

        `own` (H, L, own chunks), `captions` (H, L, caption chunks) and `pinned` (H, L, pins) are in full;
        `routed` (H, L, K) goes to the history chunks `indices` (H, L, K), -1 for none, `pinned` to the
        history chunks `pins`. Raises `ValueError` for wrong shapes, or shares that do not sum to 1.
        """
        heads, tokens = len(self._bin_of_head), len(self._chunk_of_token)
        if own.shape != (heads, tokens, self._own):
            raise ValueError(f"own: expected {(heads, tokens, self._own)}, got {own.shape}")
        if routed.shape != indices.shape or routed.shape[:2] != (heads, tokens):
            raise ValueError(
                f"routed: expected {(heads, tokens)} and the shape of indices, got {routed.shape}"
            )
        total = own.sum(axis=-1) + np.where(indices >= 0, routed, 0).sum(axis=-1)
        for further in (pinned, captions):
            total = total if further is None else total + further.sum(axis=-1)
        if not (np.abs(total - 1) <= SLACK).all():  # NaN too
            raise ValueError(
                f"own, routed, pinned, captions: a query's shares must sum to 1, got "
                f"{float(total.flat[np.abs(total - 1).argmax()]):.3g}"
            )
        group = int(self._group_of_step[step])
        self._recorded[group].add(step)
        self._add_routed(self._table[layer, group], self._picks[layer, group], routed, indices)
        self._add_dense(self._table[layer, group], own, np.arange(self._own))
        if pinned is not None:
            columns = np.asarray(pins, dtype=np.int64) + self._own
            self._add_dense(self._table[layer, group], pinned, columns)
        if captions is not None:
            columns = np.arange(self._own + self._history, len(self._context))
            self._add_dense(self._table[layer, group], captions, columns)

    def _add_routed(
        self, table: Floats, picks: NDArray[np.uint32], routed: NDArray[Any], indices: NDArray[Any]
    ) -> None:
        _, Q, C = table.shape
        head, token, nth = np.nonzero(indices >= 0)
        column = indices[head, token, nth] + self._own
        share = routed[head, token, nth].astype(np.float64)
        cell = (self._bin_of_head[head] * Q + self._chunk_of_token[token]) * C + column
        table += np.bincount(cell, weights=share, minlength=table.size).reshape(table.shape)
        picks += np.bincount(cell, minlength=table.size).reshape(table.shape).astype(np.uint32)
        cell = self._run_of_token[token] * C + column
        total = np.bincount(cell, weights=share, minlength=self._token_table.size)
        self._token_table += total.reshape(self._token_table.shape)

    def _add_dense(self, table: Floats, shares: NDArray[Any], columns: NDArray[np.int64]) -> None:
        shares = shares.astype(np.float64)
        by_chunk = _sum_runs(shares, self._chunk_of_token, axis=1)
        table[..., columns] += _sum_runs(by_chunk, self._bin_of_head, axis=0)
        self._token_table[:, columns] += _sum_runs(shares.sum(axis=0), self._run_of_token, axis=0)

    def finish(self) -> RoutingTrace:
        """The trace of all that was added; groups without a recorded step are left out."""
        kept = [group for group, steps in enumerate(self._recorded) if steps]
        if not kept:
            raise ValueError("there is nothing recorded")
        table = self._table[:, kept].swapaxes(1, 2)
        total = table.sum(axis=-1, keepdims=True)
        if not total.all():
            raise ValueError(f"layer {int(np.argwhere(total == 0)[0][0])} was not recorded at every step")
        spans = [np.flatnonzero(self._group_of_step == group) for group in kept]
        return RoutingTrace(
            **self._named,
            query=self._query,
            context=self._context,
            step_groups=tuple((int(span[0]), int(span[-1]) + 1) for span in spans),
            weights=tuple(len(self._recorded[group]) for group in kept),
            heads=tuple(np.bincount(self._bin_of_head).tolist()),
            token_run=self._token_run,
            table=in_units(table / total),
            picks=np.ascontiguousarray(self._picks[:, kept].swapaxes(1, 2)),
            token_table=in_units(self._token_table / self._token_table.sum(axis=-1, keepdims=True)),
        )


def _sum_runs(values: Floats, run: NDArray[np.int64], *, axis: int) -> Floats:
    """Sums along an axis over runs of entries with the same ascending number."""
    return np.add.reduceat(values, np.flatnonzero(np.diff(run, prepend=-1)), axis=axis)


def _resolution(layers: int, heads: int, groups: int, cells: int) -> tuple[int, int]:
    """The number of groups of steps and of heads with `cells` each that stay within `TABLE_CELLS`."""
    while layers * heads * groups * cells > TABLE_CELLS and groups * heads > 1:
        if groups > 1:
            groups //= 2
        else:
            heads = (heads + 1) // 2
    return groups, heads
