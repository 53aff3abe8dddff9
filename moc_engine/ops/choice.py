"""The choice of "auto": the fastest backend, and below how many tokens routing does not pay.

Both follow from `measured.json`, a small table of times relative to dense attention, each row measured side
by side in one process. What is asked is answered by the nearest row of the same kind of device, or where
there is none by a rule; the answer says which.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from moc_engine.ops.backend import AttentionBackend, Need, Work

MOST_SCORES: Final = 1 << 21
"""Scores that `naive` and `gathered` may hold at once, where "auto" chooses."""

MOST_ROUTED_KEYS: Final = 128
"""Routed keys per query up to which `gathered` may gather them beside each query."""

UNMEASURED_FULL_BELOW: Final = 16_384
"""Tokens below which attention is full on a device without rows in the table."""

MOST_TOKENS: Final = 1 << 22
"""Where routing does not pay with so many tokens, it never does."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of one shot's attention.

    `rows` are batch times heads, `own` the tokens of the shot, each of which also attends to `top_k` chunks
    of `chunk` tokens among `history` tokens, or with a `top_k` of 0 to all; `head` is the head width.
    """

    rows: int
    own: int
    history: int
    chunk: int
    top_k: int
    head: int

    @property
    def pair_ratio(self) -> float:
        """The pairs of dense attention over the attended pairs."""
        routed = min(self.history, self.top_k * self.chunk) if self.top_k else self.history
        return (self.own + self.history) / (self.own + routed)

    def distance(self, other: Shape) -> float:
        """How far two shapes are apart: the root of the summed squares of their logarithms' differences."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return math.sqrt(sum(math.log2(max(1, mine) / max(1, theirs)) ** 2 for mine, theirs in pairs))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One row of the table: the time of each backend over that of dense attention, routing included.

    `gradients` says whether the backward pass is in both times. `machine` says on what it was measured.
    """

    device: str
    machine: str
    gradients: bool
    shape: Shape
    times: Mapping[str, float]

    def __str__(self) -> str:
        shape = self.shape
        return (
            f"{self.device}{', gradients' if self.gradients else ''}: {shape.rows} × {shape.own} queries, "
            f"history {shape.history}, chunks of {shape.chunk}, top-k {shape.top_k}, head {shape.head}"
        )

    def efficiency(self, backends: Iterable[str]) -> float:
        """(dense time ÷ time of the fastest of the `backends`) ÷ (dense pairs ÷ attended pairs)."""
        return 1 / (min(self.times[name] for name in backends) * self.shape.pair_ratio)


@cache
def measured() -> tuple[Measured, ...]:
    """The table. Its file holds machines by name, and rows: a machine, the fields of `Shape`, and times."""
    table = json.loads(files("moc_engine.ops").joinpath("measured.json").read_text(encoding="utf-8"))
    sizes = Shape.__dataclass_fields__
    return tuple(
        Measured(
            device=table["machines"][row["machine"]]["device"],
            machine=row["machine"],
            gradients=row["gradients"],
            shape=Shape(**{name: row[name] for name in sizes}),
            times=row["times"],
        )
        for row in table["rows"]
    )


def shape_of(work: Work) -> Shape:
    """The shape of a piece of work; chunks count with their mean length."""
    chunks = len(work.history_offsets) - 1
    history = int(work.history_offsets[-1])
    return Shape(
        rows=work.rows,
        own=work.tokens,
        history=history,
        chunk=max(1, round(history / max(1, chunks))),
        top_k=min(work.top_k, chunks),
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
    rows = [
        row
        for row in (measured() if table is None else table)
        if row.device == need.device and row.gradients == need.gradients and row.times.keys() & set(able)
    ]
    if need.work is not None and not (need.device == "cuda" and "triton" in able):
        shape = shape_of(need.work)
        rows = [row for row in rows if bool(row.shape.top_k) == bool(shape.top_k)]
        if rows:
            row = min(rows, key=lambda row: row.shape.distance(shape))
            return min(row.times.keys() & set(able), key=lambda name: row.times[name]), f"measured: {row}"
    first = next(name for name in ("triton", "grouped", *able) if name in able)
    return first, "rule: triton where it is there, else grouped"


def fits(name: str, need: Need) -> bool:
    """Whether "auto" may choose a backend that holds scores of all queries at once, if this one does so."""
    if name not in ("naive", "gathered"):
        return True
    if need.work is None:
        return False
    shape = shape_of(need.work)
    keys = shape.history
    if name == "gathered":
        keys = shape.top_k * int(np.diff(need.work.history_offsets).max(initial=0))
        if keys > MOST_ROUTED_KEYS:
            return False
    return shape.rows * shape.own * (shape.own + keys) <= MOST_SCORES


def full_attention_below(
    device: str, shape: Shape, backends: Iterable[str], table: Sequence[Measured] | None = None
) -> int:
    """The tokens, own and history, below which full attention is faster on `device` than routing.

    It depends on the shape, but not on its history. Routing pays where the pair ratio times the efficiency
    of the nearest row exceeds 1.
    """
    names = set(backends)
    rows = [
        row
        for row in (measured() if table is None else table)
        if row.device == device and not row.gradients and row.shape.top_k and row.times.keys() & names
    ]
    if not rows:
        return UNMEASURED_FULL_BELOW
    below = 0
    for tokens in _tokens(shape.own):
        longer = Shape(**{**vars(shape), "history": tokens - shape.own})
        row = min(rows, key=lambda row: row.shape.distance(longer))
        if longer.pair_ratio * row.efficiency(row.times.keys() & names) <= 1:
            below = tokens + 1
    return below


def _tokens(own: int) -> Iterable[int]:
    """Sums of own and history tokens, ascending by about a tenth."""
    tokens = own + 1
    while tokens <= MOST_TOKENS:
        yield tokens
        tokens += max(1, tokens // 10)
