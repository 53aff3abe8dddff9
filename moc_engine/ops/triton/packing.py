"""Packing: the pairs of a query and a chunk that it chose, grouped by chunk, by a counting sort.

    indices ─► ranks: place of each pair among those of its block and chunk; counts ─► running sum
                                                                                          │
    pairs, edges ◄─ places: start of the group + pairs of earlier blocks + rank ◄─────────┘

The sort is stable, has no atomics and waits for no device, so that it can be captured into a graph.

Shapes: R rows (batch × heads), L queries, K slots of a query, C chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.triton.blocks import row_and_block
from moc_engine.ops.triton.launches import INTERPRETED

GREATEST_INT32: Final = 2**31 - 1

FEWEST_PAIRS: Final = 64 if INTERPRETED else 256
MOST_PAIRS: Final = 64 if INTERPRETED else 1024
"""Pairs of a block. Each is compared with all of its block, and there is a count per block and chunk."""

COMPARISONS: Final = 1 << 13
"""Comparisons of a block at a time, which its registers hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """Pairs grouped by row and chunk: pairs[edges[g] : edges[g + 1]] chose chunk c of row r, g = r·C + c.

    A pair is (r·L + l)·K + slot; within a group they ascend. Both are int32, or int64 where R·L·K needs it.
    `pairs` has room for all slots; what lies beyond the last edge is not set.
    """

    pairs: Tensor
    edges: Tensor


def pack(indices_RLK: Tensor, chunks: int, *, first: int = 0, last: int | None = None) -> Packed:
    """Groups the pairs of the slots first:last (all where None); indices below 0 are none.

    `indices_RLK` are int32 or int64 and contiguous.
    """
    R, L, K = indices_RLK.shape
    slots = (K if last is None else last) - first
    assert indices_RLK.is_contiguous()
    assert 0 <= first <= first + slots <= K
    dtype = torch.int32 if indices_RLK.numel() <= GREATEST_INT32 else torch.int64
    block = min(MOST_PAIRS, max(FEWEST_PAIRS, triton.next_power_of_2(max(1, chunks // 2))))
    blocks = triton.cdiv(L * slots, block)
    new = indices_RLK.new_empty
    pairs, edges = new(R * L * slots, dtype=dtype), new(R * chunks + 1, dtype=dtype)
    if not (pairs.numel() and chunks):
        return Packed(pairs=pairs, edges=edges.zero_())
    ranks = new(R * L * slots, dtype=torch.int16)
    counts = indices_RLK.new_zeros(R * chunks * blocks + 1, dtype=dtype)
    sizes = {"K": K, "SLOTS": slots, "PAIRS": block}
    grid = (blocks * R,)
    compared = min(block, COMPARISONS // block)
    arguments = (L, chunks, blocks, first)
    rank_kernel[grid](indices_RLK, counts, ranks, *arguments, **sizes, COMPARED=compared, num_warps=8)
    starts = torch.cumsum(counts, dim=0, dtype=dtype)
    place_kernel[grid](indices_RLK, starts, ranks, pairs, edges, *arguments, **sizes)
    return Packed(pairs=pairs, edges=edges)


@triton.jit
def _number(row, pair, L, first, K: tl.constexpr, SLOTS: tl.constexpr):
    """The number among all R·L·K of a row's pair."""
    return row * L * K + pair // SLOTS * K + first + pair % SLOTS


@triton.jit
def _chosen(indices, row, pair, L, first, K: tl.constexpr, SLOTS: tl.constexpr):
    """The chunks of a row's pairs; below 0 is none."""
    number = _number(row, pair, L, first, K, SLOTS)
    return tl.load(indices + number, mask=pair < L * SLOTS, other=-1).to(tl.int32)


@triton.jit(do_not_specialize=["blocks", "first"])
def rank_kernel(
    indices,
    counts,
    ranks,
    L,
    C,
    blocks,
    first,
    K: tl.constexpr,
    SLOTS: tl.constexpr,
    PAIRS: tl.constexpr,
    COMPARED: tl.constexpr,
):
    """The place of each pair among those of its chunk in the block; counts[1 + (r·C + c)·blocks + block]."""
    row, block = row_and_block(blocks)
    pair = block * PAIRS + tl.arange(0, PAIRS)
    chunk = _chosen(indices, row, pair, L, first, K, SLOTS)
    earlier = tl.zeros((PAIRS, COMPARED), tl.int32)
    all_of_chunk = tl.zeros((PAIRS, COMPARED), tl.int32)
    for begin in range(0, PAIRS, COMPARED):
        other = block * PAIRS + begin + tl.arange(0, COMPARED)
        other_chunk = _chosen(indices, row, other, L, first, K, SLOTS)
        same = chunk[:, None] == other_chunk[None, :]
        all_of_chunk += same.to(tl.int32)
        earlier += (same & (other[None, :] < pair[:, None])).to(tl.int32)
    rank = tl.sum(earlier, 1)
    count = tl.sum(all_of_chunk, 1)
    tl.store(ranks + row * L * SLOTS + pair, rank.to(tl.int16), mask=pair < L * SLOTS)
    cell = 1 + (row * C + chunk) * blocks + block
    tl.store(counts + cell, count.to(counts.dtype.element_ty), mask=(chunk >= 0) & (rank == count - 1))


@triton.jit(do_not_specialize=["blocks", "first"])
def place_kernel(
    indices,
    starts,
    ranks,
    pairs,
    edges,
    L,
    C,
    blocks,
    first,
    K: tl.constexpr,
    SLOTS: tl.constexpr,
    PAIRS: tl.constexpr,
):
    """Writes each pair to its place; the first block of a row writes the row's edges too."""
    row, block = row_and_block(blocks)
    pair = block * PAIRS + tl.arange(0, PAIRS)
    chunk = _chosen(indices, row, pair, L, first, K, SLOTS)
    number = _number(row, pair, L, first, K, SLOTS)
    start = tl.load(starts + (row * C + chunk) * blocks + block, mask=chunk >= 0, other=0)
    rank = tl.load(ranks + row * L * SLOTS + pair, mask=chunk >= 0, other=0)
    tl.store(pairs + start.to(tl.int64) + rank, number.to(pairs.dtype.element_ty), mask=chunk >= 0)
    if block == 0:
        for begin in range(0, C + 1, PAIRS):
            at = begin + tl.arange(0, PAIRS)  # a row's last edge is the next row's first
            edge = tl.load(starts + (row * C + at) * blocks, mask=at <= C, other=0)
            tl.store(edges + row * C + at, edge, mask=at <= C)
