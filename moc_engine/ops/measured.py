"""The table `measured.json`: times of the backends relative to dense attention, by the size of the work.

Each row was measured side by side in one process, routing included. Two decisions follow from it, each by the
nearest row of the same kind of device: which backend "auto" picks (`choice`), and below how many tokens
attention is full since routing would be slower (`full_attention_below`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

UNMEASURED_FULL_BELOW: Final = 16_384
"""Tokens below which attention is full where nothing was measured."""

MOST_TOKENS: Final = 1 << 22
"""Where routing does not pay with so many tokens, it never does."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of one shot's attention.

    `rows` are batch times heads, `own` the tokens of the shot, each of which also attends to `top_k` chunks
    of `chunk` tokens among `history` tokens, or with a `top_k` of None to all; `head` is the head width.
    """

    rows: int
    own: int
    history: int
    chunk: int
    top_k: int | None
    head: int

    @property
    def pair_ratio(self) -> float:
        """The pairs of dense attention over the attended pairs."""
        routed = self.history if self.top_k is None else min(self.history, self.top_k * self.chunk)
        return (self.own + self.history) / (self.own + routed)

    @property
    def work(self) -> int:
        """The products of dense attention."""
        return self.rows * self.own * (self.own + self.history) * self.head

    def distance(self, other: Shape) -> float:
        """How far two shapes are apart: the root of the summed squares of their logarithms' differences."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return math.sqrt(
            sum(math.log2(max(1, mine or 1) / max(1, theirs or 1)) ** 2 for mine, theirs in pairs)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
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
        chosen = "all attended to" if shape.top_k is None else f"top-k {shape.top_k}"
        return (
            f"{self.device}{', gradients' if self.gradients else ''}: {shape.rows} × {shape.own} queries, "
            f"history {shape.history}, chunks of {shape.chunk}, {chosen}, head {shape.head}"
        )

    def efficiency(self, backend: str) -> float:
        """(dense time ÷ the backend's) ÷ (dense pairs ÷ attended pairs)."""
        return 1 / (self.times[backend] * self.shape.pair_ratio)


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


@lru_cache(maxsize=1024)
def full_attention_below(
    device: str, shape: Shape, backend: str, table: tuple[Measured, ...] | None = None
) -> int:
    """The tokens, own and history, below which full attention is faster than routing with a backend.

    It depends on the shape, but not on its history. Routing pays where the pair ratio times the efficiency
    of the nearest row of the kind of `device` exceeds 1, but not for too little work, as starting many small
    products takes its time.
    """
    rows = [
        row
        for row in (measured() if table is None else table)
        if row.device == device and not row.gradients and row.shape.top_k is not None and backend in row.times
    ]
    if not rows:
        return UNMEASURED_FULL_BELOW
    enough = _enough_work(rows, backend)
    if enough is None:
        return MOST_TOKENS
    below = 0
    for tokens in _tokens(shape.own):
        longer = Shape(**{**vars(shape), "history": tokens - shape.own})
        row = min(rows, key=lambda row: row.shape.distance(longer))
        if longer.work < enough or longer.pair_ratio * row.efficiency(backend) <= 1:
            below = tokens + 1
    return below


def _enough_work(rows: Iterable[Measured], backend: str) -> float | None:
    """The work from which on routing may pay: between the least where it did and the next less where not."""
    paying = [row.shape.work for row in rows if row.times[backend] < 1]
    if not paying:
        return None
    least = min(paying)
    return math.sqrt(least * max((row.shape.work for row in rows if row.shape.work < least), default=least))


def _tokens(own: int) -> Iterable[int]:
    """Sums of own and history tokens, ascending by about a tenth."""
    tokens = own + 1
    while tokens <= MOST_TOKENS:
        yield tokens
        tokens += max(1, tokens // 10)
