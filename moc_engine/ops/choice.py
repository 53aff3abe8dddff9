"""The backend that "auto" picks: the fastest one by the nearest row of the measured table, or by a rule.

The answer says which row or rule it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from moc_engine.ops.backend import AttentionBackend, Need, Work
from moc_engine.ops.measured import Measured, Shape, measured

MOST_SCORES: Final = {"naive": 1 << 21, "gathered": 1 << 21, "masked": 1 << 24}
"""Scores of all queries that these backends, which hold them at once, may hold where "auto" chooses."""

MOST_ROUTED_KEYS: Final = 128
"""Routed keys per query up to which `gathered` may gather them beside each query."""

RULES: Final = {
    "triton": "triton where it is there",
    "grouped": "grouped where nothing alike was measured",
}
"""The backends that are taken without a measured time, the first that supports the need, and why."""

OTHERWISE: Final = "the first that supports the need, as neither triton nor grouped does"


def shape_of(work: Work) -> Shape:
    """The shape of a piece of work; chunks count with their mean length."""
    chunks = len(work.history_offsets) - 1
    history = int(work.history_offsets[-1])
    return Shape(
        rows=work.rows,
        own=work.tokens,
        history=history,
        chunk=max(1, round(history / max(1, chunks))),
        top_k=None if work.top_k is None else min(work.top_k, chunks),
        head=work.head_size,
    )


def fastest(
    need: Need, backends: Mapping[str, AttentionBackend], table: Sequence[Measured] | None = None
) -> tuple[str, str]:
    """The name of the fastest of the `backends` that support the need, and by which row or rule.

    Raises `ValueError` where none supports it.
    """
    able = [name for name, backend in backends.items() if backend.missing(need) is None and fits(name, need)]
    if not able:
        raise ValueError(f"backend: none of {', '.join(backends)} supports what is needed")
    if need.work is not None and not (need.device == "cuda" and "triton" in able):
        known = measured() if table is None else tuple(table)
        found = _measured_fastest(known, need.device, need.gradients, frozenset(able), shape_of(need.work))
        if found is not None:
            return found
    first = next(name for name in (*RULES, *able) if name in able)
    return first, f"rule: {RULES.get(first, OTHERWISE)}"


@lru_cache(maxsize=1024)
def _measured_fastest(
    table: tuple[Measured, ...], device: str, gradients: bool, able: frozenset[str], shape: Shape
) -> tuple[str, str] | None:
    """The fastest backend by the nearest row for such work, and that row; None where there is none."""
    rows = [
        row
        for row in table
        if row.device == device
        and row.gradients == gradients
        and row.times.keys() & able
        and (row.shape.top_k is None) == (shape.top_k is None)
    ]
    if not rows:
        return None
    row = min(rows, key=lambda row: row.shape.distance(shape))
    return min(row.times.keys() & able, key=lambda name: row.times[name]), f"measured: {row}"


def fits(name: str, need: Need) -> bool:
    """Whether "auto" may choose a backend that holds scores of all queries at once, if this one does so."""
    if name not in MOST_SCORES:
        return True
    if need.work is None:
        return False
    shape = shape_of(need.work)
    keys = shape.history
    if name == "gathered" and shape.top_k is not None:
        keys = shape.top_k * int(np.diff(need.work.history_offsets).max(initial=0))
        if keys > MOST_ROUTED_KEYS:
            return False
    return shape.rows * shape.own * (shape.own + keys) <= MOST_SCORES[name]
