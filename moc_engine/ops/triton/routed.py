"""The routed pass: (query, chunk) pairs grouped by chunk, so that a tile of queries shares one chunk's keys.

    stored      each pair's output is written beside its log-sum-exp; `merge` weighs them afterwards
    in place    one launch a slot, whose pairs hold each query once: a tile's last act is to merge its outputs
                into the running ones, so that no partial outputs are held

Both have one writer for every number and one order for every sum. Addresses are of 64 bits. Tiles of
adjacent queries that walk the union of their chunks would compute several times as much: the benchmark's
`tile_work` counts it.

Shapes: R rows of batch times heads, L queries, K slots of a query, C chunks, D head width.
"""

from __future__ import annotations

import triton
import triton.language as tl

from moc_engine.ops.triton.blocks import add_product, product
from moc_engine.ops.triton.rotating import turned

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


VARYING = (
    *("slots", "slot", "rows", "first_row", "row_count", "share"),
    *("chunks", "first", "count", "first_token"),
)
"""Arguments whose values are not compiled into the kernel."""


@triton.jit(do_not_specialize=["rows", "first_row", "row_count", "chunks", "first", "count"])
def tile_ends_kernel(
    EDGES,
    ENDS,
    rows,
    first_row,
    row_count,
    chunks,
    first,
    count,
    PAIRS_A_TILE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The number of tiles up to and with each group of a slot: chunks first:first + count of some rows."""
    slot = tl.program_id(0)
    groups = row_count * count
    total = tl.zeros((), tl.int32)
    for start in range(0, groups, BLOCK):
        group = start + tl.arange(0, BLOCK)
        live = group < groups
        row = (slot * rows + first_row + group // count).to(tl.int64)
        edge = row * chunks + first + group % count
        pairs = tl.load(EDGES + edge + 1, mask=live, other=0) - tl.load(EDGES + edge, mask=live, other=0)
        tiles = ((pairs + PAIRS_A_TILE - 1) // PAIRS_A_TILE).to(tl.int32)
        tl.store(ENDS + slot * groups + group, total + tl.cumsum(tiles, 0), mask=live)
        total += tl.sum(tiles, 0)


@triton.jit
def find_group(ENDS, groups, tile):
    """The first group whose tiles end after `tile`."""
    low = 0
    high = groups - 1
    while low < high:
        middle = (low + high) // 2
        before = tl.load(ENDS + middle) <= tile
        low = tl.where(before, middle + 1, low)
        high = tl.where(before, high, middle)
    return low


@triton.jit
def history_row_of(row, heads, share):
    """The history's row of a row: `share` entries of the batch that follow each other share theirs."""
    return row // heads // share * heads + row % heads


@triton.jit
def scores_by_pieces(
    Q,
    K,
    q_live,
    k_live,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """q · kᵀ of the rows at the pointers Q (QUERIES,) and K (KEYS,), read PIECE numbers at a time."""
    scores = tl.zeros((QUERIES, KEYS), tl.float32)
    for piece in tl.static_range(WIDTH // PIECE):
        d = piece * PIECE + tl.arange(0, PIECE)
        width = (d < HEAD)[None, :]
        q = tl.load(Q[:, None] + d[None, :], mask=q_live[:, None] & width, other=0.0)
        k = tl.load(K[:, None] + d[None, :], mask=k_live[:, None] & width, other=0.0)
        scores = add_product(scores, q, tl.trans(k), PRECISION)
    return scores


@triton.jit
def attend_to_keys(scores, v, acc, top, total, scale, PRECISION: tl.constexpr):
    """One step of the online softmax in powers of two (FlashAttention, arXiv 2205.14135)."""
    new_top = tl.maximum(top, tl.max(scores, 1) * scale)
    weights = tl.exp2(scores * scale - new_top[:, None])
    shrink = tl.exp2(top - new_top)
    total = total * shrink + tl.sum(weights, 1)
    acc = add_product(acc * shrink[:, None], weights.to(v.dtype), v, PRECISION)
    return acc, new_top, total


@triton.jit(do_not_specialize=VARYING)
def routed_kernel(
    Q,
    K,
    V,
    K_TMA,
    V_TMA,
    COS,
    SIN,
    OFFSETS,
    PAIRS,
    EDGES,
    ENDS,
    OUT,
    LSE,
    SLOT_LSE,
    q_batch,
    q_head,
    q_token,
    out_batch,
    out_head,
    out_token,
    k_tokens,
    v_tokens,
    heads,
    queries,
    slots,
    rows,
    first_row,
    row_count,
    share,
    chunks,
    first,
    count,
    first_token,
    slot,
    scale,
    IN_PLACE: tl.constexpr,
    ROTATED: tl.constexpr,
    TMA: tl.constexpr,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A tile: up to QUERIES pairs of a row, of `row_count`, that share one of the chunks first:first + count.

    Rows of K and V lie `k_tokens` and `v_tokens` tokens apart and begin with the history's `first_token`.
    Unless ROTATED, keys are rotated by the history's angles (T, D / 2) as they are loaded.
    IN_PLACE: pairs are those of indices (K, R, L); OUT (B, H, L, D) and its LSE (R, L) are read, merged and
    written. Otherwise pairs are those of (R, L, K), and OUT holds partial outputs (row_count, L, K, D).
    SLOT_LSE is (R, L, K). Where PIECE is less than WIDTH, queries and keys are read so many numbers at once.
    """
    tile = tl.program_id(0)
    groups = row_count * count
    ENDS += slot * groups
    if tile >= tl.load(ENDS + groups - 1):
        return
    group = find_group(ENDS, groups, tile)
    before = tl.load(ENDS + group - 1, mask=group > 0, other=0)
    row = first_row + group // count
    chunk = first + group % count
    slot_row = (slot * rows + row).to(tl.int64)
    edge = slot_row * chunks + chunk
    place = tl.load(EDGES + edge) + (tile - before) * QUERIES + tl.arange(0, QUERIES)
    live = place < tl.load(EDGES + edge + 1)
    pair = tl.load(PAIRS + place, mask=live, other=0).to(tl.int64)
    if IN_PLACE:
        query = pair - slot_row * queries
        part = (row.to(tl.int64) * queries + query) * slots + slot
    else:
        query = pair // slots - row.to(tl.int64) * queries
        part = pair

    d = tl.arange(0, WIDTH)
    n = tl.arange(0, KEYS)
    batch = (row // heads).to(tl.int64)
    head = (row % heads).to(tl.int64)
    Q += batch * q_batch + head * q_head
    q_mask = live[:, None] if WIDTH == HEAD else live[:, None] & (d < HEAD)[None, :]
    q_rows = Q + query * q_token
    if PIECE == WIDTH:
        q = tl.load(q_rows[:, None] + d[None, :], mask=q_mask, other=0.0)

    start = tl.load(OFFSETS + chunk)
    keys = tl.load(OFFSETS + chunk + 1) - start
    history_row = history_row_of(row, heads, share).to(tl.int64)
    k_at = history_row * k_tokens + start - first_token
    v_at = history_row * v_tokens + start - first_token
    k_block = K + k_at * HEAD + n[:, None] * HEAD + d[None, :]
    v_block = V + v_at * HEAD + n[:, None] * HEAD + d[None, :]
    whole = keys // KEYS
    log2_scale = scale * LOG2_E
    acc = tl.zeros((QUERIES, WIDTH), tl.float32)
    top = tl.full((QUERIES,), float("-inf"), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    for step in range(whole):
        if PIECE < WIDTH:
            k_rows = K + (k_at + step * KEYS + n) * HEAD
            every = n < KEYS
            scores = scores_by_pieces(
                q_rows, k_rows, live, every, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION
            )
        elif TMA:
            k = K_TMA.load([k_at.to(tl.int32) + step * KEYS, 0])
            if not ROTATED:
                token = start + step * KEYS + n
                k = turned(k, COS, SIN, token, n < KEYS, HEAD, WIDTH, KEYS)
            scores = product(q, tl.trans(k), PRECISION)
        else:
            k = tl.load(k_block) if WIDTH == HEAD else tl.load(k_block, mask=(d < HEAD)[None, :], other=0.0)
            if not ROTATED:
                token = start + step * KEYS + n
                k = turned(k, COS, SIN, token, n < KEYS, HEAD, WIDTH, KEYS)
            scores = product(q, tl.trans(k), PRECISION)
        if TMA:
            v = V_TMA.load([v_at.to(tl.int32) + step * KEYS, 0])
        elif WIDTH == HEAD:
            v = tl.load(v_block)
        else:
            v = tl.load(v_block, mask=(d < HEAD)[None, :], other=0.0)
        acc, top, total = attend_to_keys(scores, v, acc, top, total, log2_scale, PRECISION)
        k_block += KEYS * HEAD
        v_block += KEYS * HEAD
    rest = keys - whole * KEYS
    if rest > 0:
        some = n < rest
        mask = some[:, None] if WIDTH == HEAD else some[:, None] & (d < HEAD)[None, :]
        k_rows = K + (k_at + whole * KEYS + n) * HEAD
        if PIECE < WIDTH:
            scores = scores_by_pieces(
                q_rows, k_rows, live, some, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION
            )
        else:
            k = tl.load(k_rows[:, None] + d[None, :], mask=mask, other=0.0)
            if not ROTATED:
                k = turned(k, COS, SIN, start + whole * KEYS + n, some, HEAD, WIDTH, KEYS)
            scores = product(q, tl.trans(k), PRECISION)
        scores = tl.where(some[None, :], scores, float("-inf"))
        v = tl.load(V + (v_at + whole * KEYS) * HEAD + n[:, None] * HEAD + d[None, :], mask=mask, other=0.0)
        acc, top, total = attend_to_keys(scores, v, acc, top, total, log2_scale, PRECISION)

    lse = (top + tl.log2(total)) * LN_2
    acc = acc / total[:, None]
    tl.store(SLOT_LSE + part, lse, mask=live)
    if IN_PLACE:
        at = row.to(tl.int64) * queries + query
        out_at = OUT + batch * out_batch + head * out_head + query[:, None] * out_token + d[None, :]
        own_lse = tl.load(LSE + at, mask=live, other=0.0)
        own = tl.load(out_at, mask=q_mask, other=0.0).to(tl.float32)
        higher = tl.maximum(own_lse, lse)
        own_weight = tl.exp(own_lse - higher)
        weight = tl.exp(lse - higher)
        both = own_weight + weight
        acc = (own * own_weight[:, None] + acc * weight[:, None]) / both[:, None]
        tl.store(out_at, acc.to(OUT.dtype.element_ty), mask=q_mask)
        tl.store(LSE + at, higher + tl.log(both), mask=live)
    else:
        part -= first_row.to(tl.int64) * queries * slots
        tl.store(OUT + part[:, None] * HEAD + d[None, :], acc.to(OUT.dtype.element_ty), mask=q_mask)
