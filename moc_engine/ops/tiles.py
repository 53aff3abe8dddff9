"""Routed (query, chunk) pairs sorted by chunk and packed into tiles: queries that share one chunk's keys.

The width of a tile is its number of query positions; an unused one repeats a query. Tiles of one
width whose chunks are equally long form a batch: one rectangular product without padding along the keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.layout import Ints

WIDTHS: Final = (1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256)

KEYS_AT_ONCE: Final = 1 << 13
"""Keys gathered for one batch, unless a single tile has more: few enough for a cache."""

SMALL_BATCH: Final = 1 << 11
"""Products (positions × keys) below which a batch costs more to start than to compute: then tiles widen."""


@dataclass(frozen=True, kw_only=True)
class TileBatch:
    """n tiles of equal width, whose chunks are all `length` keys long, at positions first:last.

    `rows` (n,) says which batch-head row and `chunks` (n,) which chunk each tile reads; `queries`
    (n, width) index the block's queries row by row, `used` (n, width) is false where a position is idle.
    """

    first: int
    last: int
    length: int
    rows: Tensor
    chunks: Tensor
    queries: Tensor
    used: Tensor


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """`slots` (R · L, K): which of the `positions` of all tiles each pair lies at, -1 for no pair."""

    positions: int
    slots: Tensor
    batches: tuple[TileBatch, ...]


def pack(indices_RLK: Tensor, lengths: Ints) -> Tiles:
    """Packs the pairs of `indices_RLK` (chunk or -1) over chunks of the given `lengths` [C].

    The pairs of a (row, chunk) segment fill tiles of the greatest width, and the rest a tile of the next
    width that holds it. The order is fixed by the indices alone.
    """
    R, L, K = indices_RLK.shape
    device = indices_RLK.device
    by_length = np.argsort(lengths, kind="stable")
    rank_of_chunk = torch.tensor(np.argsort(by_length), device=device)
    flat = indices_RLK.flatten()
    slots = torch.full((R * L * K,), -1, device=device)
    pairs = (flat >= 0).nonzero()[:, 0]
    if not len(pairs):
        return Tiles(positions=0, slots=slots.view(R * L, K), batches=())

    # Pairs by segment: all queries of one row that chose one chunk.
    segment, order = (rank_of_chunk[flat[pairs]] * R + pairs // (L * K)).sort(stable=True)
    pairs = pairs[order]
    counts = torch.bincount(segment, minlength=len(lengths) * R)
    first_pair = counts.cumsum(0) - counts
    within = torch.arange(len(pairs), device=device) - first_pair[segment]

    # Tiles of each segment, then sorted so that a batch's tiles stand side by side.
    tiles = (counts + WIDTHS[-1] - 1) // WIDTHS[-1]
    first_tile = tiles.cumsum(0) - tiles
    of_segment = torch.arange(len(counts), device=device).repeat_interleave(tiles)
    begin = (torch.arange(len(of_segment), device=device) - first_tile[of_segment]) * WIDTHS[-1]
    size = (counts[of_segment] - begin).clamp(max=WIDTHS[-1])
    length = torch.tensor(lengths[by_length], device=device)[of_segment // R]
    width = _widths(size, length)
    batched = (length * (WIDTHS[-1] + 1) + width).argsort(stable=True)
    position = torch.empty_like(width)
    position[batched] = width[batched].cumsum(0) - width[batched]
    slots[pairs] = position[first_tile[segment] + within // WIDTHS[-1]] + within % WIDTHS[-1]

    start = (first_pair[of_segment] + begin)[batched]
    size, rows = size[batched], (of_segment % R)[batched]
    chunks = torch.tensor(by_length, device=device)[of_segment // R][batched]
    batches = []
    first = 0
    for a, b, keys, wide in _runs(length[batched].tolist(), width[batched].tolist()):
        steps = torch.arange(wide, device=device)
        used = steps < size[a:b, None]
        queries = pairs[start[a:b, None] + steps.where(used, 0)] // K
        last = first + (b - a) * wide
        batches.append(
            TileBatch(
                first=first,
                last=last,
                length=keys,
                rows=rows[a:b],
                chunks=chunks[a:b],
                queries=queries,
                used=used,
            )
        )
        first = last
    return Tiles(positions=first, slots=slots.view(R * L, K), batches=tuple(batches))


def _widths(sizes: Tensor, lengths: Tensor) -> Tensor:
    """The width of each tile that is to hold `sizes` queries on chunks of `lengths` keys.

    Widths at which there is little to compute leave their tiles to the next greater one.
    """
    widths = torch.tensor(WIDTHS, device=sizes.device)
    fitting = torch.searchsorted(widths, sizes)
    products = torch.bincount(fitting, weights=lengths.double(), minlength=len(WIDTHS)) * widths
    enough = SMALL_BATCH * len(torch.unique(lengths))
    greatest = int(fitting.max())
    chosen: list[int] = []
    waiting = 0.0
    for nth, product in enumerate(products.tolist()):
        waiting += product
        if waiting >= enough or nth >= greatest:
            chosen += [WIDTHS[nth]] * (nth + 1 - len(chosen))
            waiting = 0.0
    return torch.tensor(chosen, device=sizes.device)[fitting]


def _runs(lengths: list[int], widths: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """Runs a:b of tiles of equal length and width, cut so that few keys are gathered at once."""
    start = 0
    for end in range(1, len(lengths) + 1):
        now = lengths[start], widths[start]
        full = (end - start) * now[0] >= KEYS_AT_ONCE
        if end == len(lengths) or full or (lengths[end], widths[end]) != now:
            yield start, end, *now
            start = end
