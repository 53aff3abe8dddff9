"""Attention to a segment of a history's chunks, merged into running outputs.

A segment holds the keys and values of some adjacent chunks, wherever they come from: all of a history on the
device, keys rotated into a buffer, or a part of a history that streams through the device.

    Pairs ────┐
    Segment ──┼─► attend_segment   slot by slot, merged in place
    Running ──┘   attend_stored    partial outputs of all slots, merged afterwards

Shapes: B batch, H heads, L queries, T tokens of a segment, C chunks, K slots of a query, D head width;
R = B · H rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.launches import (
    Tile,
    capability_of,
    descriptor,
    has_tma,
    launch,
    padded_head,
    precision,
)
from moc_engine.ops.triton.merging import merge_slots
from moc_engine.ops.triton.packing import pack
from moc_engine.ops.triton.routed import routed_kernel, tile_ends_kernel

GROUPS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Keys and values (H or R, T, D) of the chunks first:last, from the history's `start` token on.

    Tokens of a row are contiguous; rows may lie any number of tokens apart. `rotary` is the embedding of keys
    that are not rotated yet, which are rotated as they are loaded.
    """

    k_RTD: Tensor
    v_RTD: Tensor
    first: int
    last: int
    start: int
    rotary: Rotary | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Running:
    """Attention to what has been attended to so far.

    The output (B, H, L, D) in any strides, its log-sum-exp (R, L) and that of each slot (R, L, K) in float32;
    -inf for what has not been attended to.
    """

    out_BHLD: Tensor
    lse_RL: Tensor
    slot_lse_RLK: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """(query, chunk) pairs grouped by row and chunk: ids, and where each group begins and ends.

    `by_slot`: rows count as K · R, one slot after the other, so that each group holds a query once.
    `offsets` [C + 1] are those of the chunks, on the device.
    """

    ids: Tensor
    edges: Tensor
    offsets: Tensor
    chunks: int
    by_slot: bool


def pack_pairs(indices_RLK: Tensor, offsets: Tensor, *, by_slot: bool) -> Pairs:
    """The pairs of queries and chunks; `offsets` [C + 1] are those of the chunks, on the device."""
    chunks = len(offsets) - 1
    if by_slot:
        R, L, K = indices_RLK.shape
        by_slots = torch.empty(K, R, L, dtype=torch.int32, device=indices_RLK.device)
        indices_RLK = by_slots.copy_(indices_RLK.permute(2, 0, 1)).view(K * R, L, 1)
    packed = pack(indices_RLK.contiguous(), chunks)
    return Pairs(ids=packed.pairs, edges=packed.edges, offsets=offsets, chunks=chunks, by_slot=by_slot)


def attend_segment(running: Running, q_BHLD: Tensor, segment: Segment, pairs: Pairs, scale: float) -> None:
    """Attends to the pairs of a segment's chunks and merges them into `running`, slot by slot.

    A segment without chunks that anybody chose changes nothing. `pairs` are by slot.
    """
    tile = _tile(q_BHLD, segment)
    R, L, K = running.slot_lse_RLK.shape
    ends = tile_ends(pairs, segment, tile, rows=R, first_row=0, row_count=R, slots=K)
    arguments = _arguments(running, q_BHLD, segment, pairs, tile, ends, running.out_BHLD)
    for slot in range(K):
        _launch(arguments, tile, slot=slot, first_row=0, row_count=R, pairs=R * L, scale=scale)


def attend_stored(
    running: Running,
    q_BHLD: Tensor,
    segment: Segment,
    pairs: Pairs,
    scale: float,
    *,
    rows_at_once: int,
) -> None:
    """As `attend_segment` for the one segment of all chunks, with partial outputs of so many rows at a time.

    `pairs` are not by slot.
    """
    tile = _tile(q_BHLD, segment)
    R, L, K = running.slot_lse_RLK.shape
    D = q_BHLD.shape[-1]
    parts = q_BHLD.new_empty(min(R, rows_at_once), L, K, D)
    for first_row in range(0, R, rows_at_once):
        row_count = min(rows_at_once, R - first_row)
        ends = tile_ends(pairs, segment, tile, rows=R, first_row=first_row, row_count=row_count, slots=1)
        arguments = _arguments(running, q_BHLD, segment, pairs, tile, ends, parts)
        _launch(
            arguments,
            tile,
            slot=0,
            first_row=first_row,
            row_count=row_count,
            pairs=row_count * L * K,
            scale=scale,
        )
        rows = slice(first_row, first_row + row_count)
        merge_slots(
            running.out_BHLD, running.lse_RL, parts[:row_count], running.slot_lse_RLK[rows], first_row
        )


def _tile(q_BHLD: Tensor, segment: Segment) -> Tile:
    kernel = "routed" if segment.rotary is None else "routed unrotated"
    return launch(kernel, q_BHLD.shape[-1], q_BHLD.dtype, capability_of(q_BHLD.device))


def uses_tma(tile: Tile, head: int) -> bool:
    """Whether keys and values are loaded by tensor descriptors: where the table says so and the build can."""
    return tile.tma and has_tma() and head == padded_head(head)


def tile_ends(
    pairs: Pairs, segment: Segment, tile: Tile, *, rows: int, first_row: int, row_count: int, slots: int = 1
) -> Tensor:
    """The number of tiles up to and with each group (slots, row_count · chunks of the segment), in int32.

    A group is a chunk of one of `row_count` rows, of all `rows`, from `first_row` on.
    """
    count = segment.last - segment.first
    ends = torch.empty(slots, row_count * count, dtype=torch.int32, device=pairs.edges.device)
    tile_ends_kernel[(slots,)](
        pairs.edges,
        ends,
        rows,
        first_row,
        row_count,
        pairs.chunks,
        segment.first,
        count,
        PAIRS_A_TILE=tile.rows,
        BLOCK=GROUPS_AT_ONCE,
    )
    return ends


def pair_arguments(
    q: Tensor, segment: Segment, pairs: Pairs, tile: Tile, *, rows: int, heads: int
) -> dict[str, Any]:
    """The arguments by name of every kernel over the pairs of a segment's chunks, forward and backward.

    `q` are the queries (…, D) of `rows` rows of `heads` heads each.
    """
    k, v = segment.k_RTD, segment.v_RTD
    D = q.shape[-1]
    return dict(
        Q=q,
        K=k,
        V=v,
        OFFSETS=pairs.offsets,
        PAIRS=pairs.ids,
        EDGES=pairs.edges,
        k_tokens=k.stride(0) // D,
        v_tokens=v.stride(0) // D,
        heads=heads,
        share=rows // len(k),
        chunks=pairs.chunks,
        first=segment.first,
        count=segment.last - segment.first,
        first_token=segment.start,
        HEAD=D,
        WIDTH=padded_head(D),
        QUERIES=tile.rows,
        KEYS=tile.keys,
        PIECE=tile.piece_of(D),
        PRECISION=precision(q.dtype),
        **tile.options,
    )


def _arguments(
    running: Running,
    q_BHLD: Tensor,
    segment: Segment,
    pairs: Pairs,
    tile: Tile,
    ends: Tensor,
    out: Tensor,
) -> dict[str, Any]:
    """What all launches of the routed pass over a segment have in common."""
    H, D = q_BHLD.shape[1], q_BHLD.shape[-1]
    R, L, K = running.slot_lse_RLK.shape
    rotary, tma = segment.rotary, uses_tma(tile, D)
    out_strides = running.out_BHLD.stride()[:3]
    return pair_arguments(q_BHLD, segment, pairs, tile, rows=R, heads=H) | dict(
        K_TMA=descriptor(segment.k_RTD, tile.keys) if tma else None,
        V_TMA=descriptor(segment.v_RTD, tile.keys) if tma else None,
        COS=None if rotary is None else rotary.cos,
        SIN=None if rotary is None else rotary.sin,
        ENDS=ends,
        OUT=out,
        LSE=running.lse_RL,
        SLOT_LSE=running.slot_lse_RLK,
        **dict(zip(("q_batch", "q_head", "q_token"), q_BHLD.stride()[:3], strict=True)),
        **dict(zip(("out_batch", "out_head", "out_token"), out_strides, strict=True)),
        queries=L,
        slots=K,
        rows=R,
        IN_PLACE=pairs.by_slot,
        ROTATED=rotary is None,
        TMA=tma,
    )


def _launch(
    arguments: dict[str, Any],
    tile: Tile,
    *,
    slot: int,
    first_row: int,
    row_count: int,
    pairs: int,
    scale: float,
) -> None:
    groups = row_count * arguments["count"]
    most_tiles = pairs // tile.rows + min(pairs, groups)
    if most_tiles:
        routed_kernel[(most_tiles,)](
            **arguments, slot=slot, first_row=first_row, row_count=row_count, scale=scale
        )


def rows_of(x_BHTD: Tensor) -> Tensor:
    """(B, H, T, D) as rows (B · H, T, D) a fixed number of tokens apart, without a copy where they lie so."""
    B, H, T, D = x_BHTD.shape
    if B == 1:
        rows = x_BHTD[0]
    elif x_BHTD.stride(0) == H * x_BHTD.stride(1):
        rows = x_BHTD.as_strided((B * H, T, D), (x_BHTD.stride(1), D, 1))
    else:
        rows = x_BHTD.flatten(0, 1)
    return rows if rows.stride(0) % D == 0 and rows.stride()[1:] == (D, 1) else rows.contiguous()
