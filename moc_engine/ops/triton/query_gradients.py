"""The gradient of queries through routed chunks, by tiles of pairs; formulas in `routed_gradients`.

Each pair has a part of its own, and the parts of a query are added in the order of its slots.

Shapes: R rows (batch × heads), L queries, K slots of a query, D head width.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.triton.blocks import add_product, load_all_rows, load_rows, product, store_rows
from moc_engine.ops.triton.launches import capability_of, launch, padded_head
from moc_engine.ops.triton.routed import (
    LOG2_E,
    find_group,
    history_row_of,
    scores_by_pieces,
)
from moc_engine.ops.triton.routed_gradients import Routed
from moc_engine.ops.triton.segments import Segment, tile_ends


@triton.jit
def _dq_step(
    Q,
    GRAD,
    K,
    V,
    q,
    grad,
    queries,
    k_rows,
    v_rows,
    q_live,
    live,
    lse2,
    delta,
    dq,
    scale2,
    ALL: tl.constexpr,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Adds to `dq` the gradient through one block of keys, of which only the `live` count unless ALL do.

    `q` and `grad` are the rows of Q and GRAD of the `queries`, unused where they are read PIECE by PIECE.
    """
    k = load_all_rows(K, k_rows, HEAD, WIDTH) if ALL else load_rows(K, k_rows, live, HEAD, WIDTH)
    if PIECE == WIDTH:
        v = load_all_rows(V, v_rows, HEAD, WIDTH) if ALL else load_rows(V, v_rows, live, HEAD, WIDTH)
        scores = product(q, tl.trans(k), PRECISION)
        dp = product(grad, tl.trans(v), PRECISION)
    else:
        at = queries * HEAD
        k_at = k_rows * HEAD
        v_at = v_rows * HEAD
        scores = scores_by_pieces(
            Q + at, K + k_at, q_live, live, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION
        )
        dp = scores_by_pieces(GRAD + at, V + v_at, q_live, live, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION)
    p = tl.exp2(scores * scale2 - lse2[:, None])
    if not ALL:
        p = tl.where(live[None, :], p, 0.0)
    ds = p * (dp - delta[:, None])
    return add_product(dq, ds.to(k.dtype), k, PRECISION)


@triton.jit(
    do_not_specialize=[
        "k_tokens",
        "v_tokens",
        "first_row",
        "row_count",
        "first_pair",
        "heads",
        "share",
        "chunks",
        "first",
        "count",
        "first_token",
    ]
)
def dq_kernel(
    Q,
    GRAD,
    K,
    V,
    LSE,
    DELTA,
    OFFSETS,
    PAIRS,
    EDGES,
    ENDS,
    PARTS,
    k_tokens,
    v_tokens,
    first_row,
    row_count,
    first_pair,
    heads,
    share,
    chunks,
    first,
    count,
    first_token,
    scale,
    SLOTS: tl.constexpr,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One tile: up to QUERIES pairs of one row that share one of the chunks first:first + count.

    ENDS are the tiles up to and with each group (row, chunk) of `row_count` rows from `first_row` on, PARTS
    (pairs, HEAD) the gradients of the pairs from `first_pair` on. K and V hold `k_tokens` and `v_tokens`
    tokens a row, the first of which is the history's `first_token`.
    """
    tile = tl.program_id(0)
    groups = row_count * count
    if tile >= tl.load(ENDS + groups - 1):
        return
    group = find_group(ENDS, groups, tile)
    before = tl.load(ENDS + group - 1, mask=group > 0, other=0)
    row = first_row + group // count
    chunk = first + group % count
    edge = EDGES + row.to(tl.int64) * chunks + chunk
    places = tl.load(edge) + (tile - before) * QUERIES + tl.arange(0, QUERIES)
    live = places < tl.load(edge + 1)
    pairs = tl.load(PAIRS + places, mask=live, other=0).to(tl.int64)
    queries = pairs // SLOTS
    if PIECE == WIDTH:
        q = load_rows(Q, queries, live, HEAD, WIDTH)
        grad = load_rows(GRAD, queries, live, HEAD, WIDTH)
    else:
        q = live
        grad = live
    lse2 = tl.load(LSE + queries, mask=live, other=float("inf")) * LOG2_E
    delta = tl.load(DELTA + queries, mask=live, other=0.0)
    dq = tl.zeros((QUERIES, WIDTH), tl.float32)
    scale2 = scale * LOG2_E
    n = tl.arange(0, KEYS)
    start = tl.load(OFFSETS + chunk)
    length = tl.load(OFFSETS + chunk + 1) - start
    history_row = history_row_of(row, heads, share).to(tl.int64)
    k_rows = history_row * k_tokens + start - first_token + n
    v_rows = history_row * v_tokens + start - first_token + n
    for _ in range(length // KEYS):
        dq = _dq_step(
            Q, GRAD, K, V, q, grad, queries, k_rows, v_rows, live, n < KEYS, lse2, delta, dq, scale2,
            True, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION,
        )  # fmt: skip
        k_rows += KEYS
        v_rows += KEYS
    rest = length % KEYS
    if rest > 0:
        dq = _dq_step(
            Q, GRAD, K, V, q, grad, queries, k_rows, v_rows, live, n < rest, lse2, delta, dq, scale2,
            False, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION,
        )  # fmt: skip
    store_rows(PARTS, pairs - first_pair, live, dq * scale, HEAD, WIDTH)


@triton.jit(do_not_specialize=["N", "first", "last"])
def add_parts_kernel(
    BASE,
    PARTS,
    INDICES,
    DQ,
    N,
    first,
    last,
    SLOTS: tl.constexpr,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
):
    """DQ (N, HEAD) = BASE (N, HEAD) + the parts of all slots whose chunk is of first:last, in their order."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    live = rows < N
    total = load_rows(BASE, rows, live, HEAD, WIDTH).to(tl.float32)
    for slot in tl.static_range(SLOTS):
        pairs = rows * SLOTS + slot
        chunk = tl.load(INDICES + pairs, mask=live, other=-1)
        used = live & (chunk >= first) & (chunk < last)
        total += load_rows(PARTS, pairs, used, HEAD, WIDTH).to(tl.float32)
    store_rows(DQ, rows, live, total, HEAD, WIDTH)


def add_query_gradients(
    routed: Routed, segment: Segment, base_RLD: Tensor, dq_RLD: Tensor, *, rows_at_once: int
) -> None:
    """Writes to `dq_RLD` the sum of `base_RLD`, which may be the same, and the gradient through a segment.

    The parts of so many rows are held at a time.
    """
    R, L, D = routed.q.shape
    K = routed.indices_RLK.shape[2]
    device, pairs = routed.q.device, routed.pairs
    tile = launch("dq", D, routed.q.dtype, capability_of(device))
    adding = launch("delta", D, routed.q.dtype, capability_of(device))
    count = segment.last - segment.first
    arguments = routed.arguments(segment, tile)
    parts = routed.q.new_empty(min(rows_at_once, R) * L * K, D)
    for first_row in range(0, R, rows_at_once):
        rows = slice(first_row, min(first_row + rows_at_once, R))
        row_count = rows.stop - rows.start
        most_tiles = row_count * L * K // tile.rows + min(row_count * L * K, row_count * count)
        dq_kernel[(most_tiles,)](
            **arguments,
            ENDS=tile_ends(pairs, segment, tile, rows=R, first_row=first_row, row_count=row_count),
            PARTS=parts,
            first_row=first_row,
            row_count=row_count,
            first_pair=first_row * L * K,
        )
        add_parts_kernel[(triton.cdiv(row_count * L, adding.rows),)](
            base_RLD[rows],
            parts,
            routed.indices_RLK[rows],
            dq_RLD[rows],
            row_count * L,
            segment.first,
            segment.last,
            SLOTS=K,
            HEAD=D,
            WIDTH=padded_head(D),
            ROWS=adding.rows,
            **adding.options,
        )
