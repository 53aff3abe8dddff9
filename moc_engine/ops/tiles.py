"""Routed (query, chunk) pairs sorted by chunk and packed into tiles: queries that share one chunk's keys.

Tiles of about one size whose chunks are equally long form a batch: one rectangular product without padding
along the keys. The plan is made on the host, by a counting sort of the chosen chunks.

Shapes: R rows, L queries of a row, K routed chunks of a query, C chunks, P positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.ops.layout import Ints

GREATEST_TILE: Final = 1 << 10
"""Queries of one tile at most; those of a chunk that more have chosen fill several equal tiles."""

KEYS_AT_ONCE: Final = 1 << 12
"""Keys gathered for one batch, unless a single tile has more: few enough for a cache."""

PADDING: Final = 1 << 14
"""Products (positions × keys) that a group may compute for nothing: about what starting a batch costs."""


@dataclass(frozen=True, kw_only=True)
class TileBatch:
    """The tiles first:stop, each of `width` queries and `length` keys; their positions start at `at`."""

    first: int
    stop: int
    width: int
    length: int
    at: int

    @property
    def tiles(self) -> slice:
        return slice(self.first, self.stop)

    @property
    def positions(self) -> slice:
        return slice(self.at, self.at + (self.stop - self.first) * self.width)


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The tiles of all pairs, their `rows` and `chunks`, and the positions of queries in them.

    `queries` [P] are the queries, numbered row by row, at the positions of all tiles; a position that a tile
    leaves idle repeats its last query, and `used` [P] is false there. `slots` [R · L, K] is the position
    of each pair, P for no pair. A batch holds no chunk of a row twice.
    """

    rows: Ints
    chunks: Ints
    queries: NDArray[np.int32]
    used: NDArray[np.bool_]
    slots: NDArray[np.int32]
    batches: tuple[TileBatch, ...]


def pack(indices_RLK: NDArray[Any], lengths: Ints) -> Tiles:
    """Packs the pairs of `indices_RLK` (chunk or -1) over chunks of the given `lengths` [C].

    The order is fixed by the indices alone. Chunks without keys are left out.
    """
    R, L, K = indices_RLK.shape
    order, rows, chunks, start, count = _segments(indices_RLK.reshape(R, L * K), len(lengths))

    # The tiles of each segment, sorted so that a batch's tiles stand side by side.
    pieces = np.where(lengths[chunks] > 0, -(-count // GREATEST_TILE), 0)
    of = np.repeat(np.arange(len(count)), pieces)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    greatest = -(-count[of] // pieces[of])
    size = np.minimum(count[of] - nth * greatest, greatest)
    length = lengths[chunks[of]]
    by_size = np.lexsort((size, nth, length))
    of, nth, size, length = (x[by_size] for x in (of, nth, size, length))
    batches = tuple(_batches(size, nth, length))
    width = np.zeros(len(of), dtype=np.int64)
    for batch in batches:
        width[batch.tiles] = batch.width

    # What stands at each position.
    total = int(width.sum())
    within = np.arange(total) - np.repeat(np.cumsum(width) - width, width)
    last = np.repeat(size - 1, width)
    used = within <= last
    pairs = order[np.repeat(start[of] + nth * greatest[by_size], width) + np.minimum(within, last)]
    slots = np.full(R * L * K, total, dtype=np.int32)
    slots[pairs[used]] = np.flatnonzero(used)
    return Tiles(
        rows=rows[of],
        chunks=chunks[of],
        queries=(pairs // max(1, K)).astype(np.int32),
        used=used,
        slots=slots.reshape(R * L, K),
        batches=batches,
    )


def _segments(chosen_RN: NDArray[Any], chunks: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """The pairs in the order of (row, chunk), and of each of these that occurs: row, chunk, start and count.

    Integers of 16 bits are sorted by counting, which is many times faster than comparing.
    """
    R, N = chosen_RN.shape
    keys = np.where(chosen_RN < 0, chunks, chosen_RN)
    order = keys.astype(np.uint16 if chunks < 1 << 16 else np.int64).argsort(axis=1, kind="stable")
    order += np.arange(R)[:, None] * N
    keys += np.arange(R)[:, None] * (chunks + 1)
    count = np.bincount(keys.ravel(), minlength=R * (chunks + 1))
    start = np.cumsum(count) - count
    filled = np.flatnonzero(count)
    row, chunk = np.divmod(filled, chunks + 1)
    real = chunk < chunks
    return order.ravel(), row[real], chunk[real], start[filled[real]], count[filled[real]]


def _batches(sizes: Ints, turns: Ints, lengths: Ints) -> Iterator[TileBatch]:
    """The groups of tiles, cut where many keys would be gathered at once."""
    at = 0
    for start, end in _groups(sizes, turns, lengths):
        length = int(lengths[start])
        most = -(-KEYS_AT_ONCE // length)
        for first in range(start, end, most):
            stop = min(first + most, end)
            width = int(sizes[stop - 1])
            yield TileBatch(first=first, stop=stop, width=width, length=length, at=at)
            at += (stop - first) * width


def _groups(sizes: Ints, turns: Ints, lengths: Ints) -> Iterator[tuple[int, int]]:
    """Runs of tiles of equal length and turn, and of sizes so near each other that padding costs little."""
    kinds = np.stack((lengths, turns, sizes), axis=1)
    borders = np.flatnonzero(np.any(kinds[1:] != kinds[:-1], axis=1)) + 1
    start = padding = 0
    for tile in borders.tolist():
        length, turn, size = kinds[tile].tolist()
        before, turn_before, size_before = kinds[tile - 1].tolist()
        padding += (tile - start) * (size - size_before) * length
        if (length, turn) != (before, turn_before) or padding > PADDING:
            yield start, tile
            start, padding = tile, 0
    if len(kinds):
        yield start, len(kinds)
