"""Gradients through routed chunks, recomputed from the merged output and its log-sum-exp.

    p  = exp(q·k · scale - lse)          dv = Σ_q p · do
    ds = p · (do·v - delta)              dk = Σ_q ds · q · scale
    delta = Σ_d do · out                 dq = Σ_k ds · k · scale

dq goes by tiles of pairs: each pair has a part of its own, and the parts of a query are added in the order
of its slots. dk and dv go by blocks of keys: one program adds all pairs that chose the block's chunk, in
their order, or one of `splits` shares of them, which are then added in order. There are no atomics, so the
same input gives the same bits.

Shapes: R rows (batch × heads), L queries, K slots of a query, T tokens of a segment, C chunks, D head width.
The history may have fewer entries of a batch, each shared by as many that follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.layout import Ints
from moc_engine.ops.triton.blocks import add_product, load_all_rows, load_rows, product, store_rows
from moc_engine.ops.triton.launches import INTERPRETED, capability_of, launch, padded_head, precision
from moc_engine.ops.triton.routed import find_group, history_row_of, scores_by_pieces, tile_ends_kernel
from moc_engine.ops.triton.segments import Pairs, Segment

LOG2_E = tl.constexpr(1.4426950408889634)

GROUPS_AT_ONCE: Final = 1024
PROGRAMS_A_PROCESSOR: Final = 4
MOST_SPLITS: Final = 8


@triton.jit(do_not_specialize=["N"])
def delta_kernel(OUT, GRAD, DELTA, N, HEAD: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    """DELTA (N) = Σ_d OUT · GRAD (N, HEAD) in float32."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    live = rows < N
    out = load_rows(OUT, rows, live, HEAD, WIDTH).to(tl.float32)
    grad = load_rows(GRAD, rows, live, HEAD, WIDTH).to(tl.float32)
    tl.store(DELTA + rows, tl.sum(out * grad, 1), mask=live)


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


@triton.jit(
    do_not_specialize=[
        "k_tokens",
        "v_tokens",
        "dk_tokens",
        "dv_tokens",
        "split_tokens",
        "heads",
        "share",
        "chunks",
        "first",
        "count",
        "first_token",
        "blocks",
    ]
)
def dkdv_kernel(
    Q,
    GRAD,
    K,
    V,
    LSE,
    DELTA,
    OFFSETS,
    PAIRS,
    EDGES,
    ORDER,
    DK,
    DV,
    k_tokens,
    v_tokens,
    dk_tokens,
    dv_tokens,
    split_tokens,
    heads,
    share,
    chunks,
    first,
    count,
    first_token,
    blocks,
    scale,
    SLOTS: tl.constexpr,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    SPLITS: tl.constexpr,
    ADD: tl.constexpr,
    WANT_K: tl.constexpr,
    WANT_V: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One block of KEYS keys of a chunk, and one of SPLITS shares of the pairs that chose the chunk.

    ORDER lists the groups (history row, chunk of first:first + count), the most chosen first. K, V, DK and DV
    hold so many tokens a row, the first of which is the history's `first_token`; the shares of DK and DV are
    `split_tokens` tokens apart. With ADD their content is added to.
    """
    program = tl.program_id(0)
    split = tl.program_id(1)
    group = tl.load(ORDER + program // blocks)
    history_row = group // count
    chunk = first + group % count
    begin = tl.load(OFFSETS + chunk) + (program % blocks) * KEYS
    end = tl.load(OFFSETS + chunk + 1)
    if begin >= end:
        return
    tokens = begin + tl.arange(0, KEYS)
    inside = tokens < end
    tokens -= first_token
    k_rows = history_row.to(tl.int64) * k_tokens + tokens
    v_rows = history_row.to(tl.int64) * v_tokens + tokens
    if PIECE == WIDTH:
        k = load_rows(K, k_rows, inside, HEAD, WIDTH)
        v = load_rows(V, v_rows, inside, HEAD, WIDTH)
    dk = tl.zeros((KEYS, WIDTH), tl.float32)
    dv = tl.zeros((KEYS, WIDTH), tl.float32)
    scale2 = scale * LOG2_E
    for nth in range(share):
        row = (history_row // heads * share + nth) * heads + history_row % heads
        edge = EDGES + row.to(tl.int64) * chunks + chunk
        start = tl.load(edge)
        stop = tl.load(edge + 1)
        if SPLITS > 1:
            of_split = tl.cdiv(tl.cdiv(stop - start, QUERIES), SPLITS) * QUERIES
            start += split * of_split
            stop = tl.minimum(stop, start + of_split)
        for place in range(start, stop, QUERIES):
            places = place + tl.arange(0, QUERIES)
            live = places < stop
            queries = tl.load(PAIRS + places, mask=live, other=0).to(tl.int64) // SLOTS
            q = load_rows(Q, queries, live, HEAD, WIDTH)
            grad = load_rows(GRAD, queries, live, HEAD, WIDTH)
            lse2 = tl.load(LSE + queries, mask=live, other=float("inf")) * LOG2_E
            if PIECE == WIDTH:
                scores = product(k, tl.trans(q), PRECISION)
            else:
                at = queries * HEAD
                scores = scores_by_pieces(
                    K + k_rows * HEAD, Q + at, inside, live, HEAD, WIDTH, KEYS, QUERIES, PIECE, PRECISION
                )
            p = tl.exp2(scores * scale2 - lse2[None, :])
            if WANT_V:
                dv = add_product(dv, p.to(grad.dtype), grad, PRECISION)
            if WANT_K:
                delta = tl.load(DELTA + queries, mask=live, other=0.0)
                if PIECE == WIDTH:
                    dp = product(v, tl.trans(grad), PRECISION)
                else:
                    dp = scores_by_pieces(
                        V + v_rows * HEAD,
                        GRAD + at,
                        inside,
                        live,
                        HEAD,
                        WIDTH,
                        KEYS,
                        QUERIES,
                        PIECE,
                        PRECISION,
                    )
                ds = p * (dp - delta[None, :])
                dk = add_product(dk, ds.to(q.dtype), q, PRECISION)
    shift = split.to(tl.int64) * split_tokens
    if WANT_K:
        rows = shift + history_row.to(tl.int64) * dk_tokens + tokens
        dk *= scale
        if ADD:
            dk += load_rows(DK, rows, inside, HEAD, WIDTH).to(tl.float32)
        store_rows(DK, rows, inside, dk, HEAD, WIDTH)
    if WANT_V:
        rows = shift + history_row.to(tl.int64) * dv_tokens + tokens
        if ADD:
            dv += load_rows(DV, rows, inside, HEAD, WIDTH).to(tl.float32)
        store_rows(DV, rows, inside, dv, HEAD, WIDTH)


@dataclass(frozen=True, kw_only=True, eq=False)
class Routed:
    """What the gradients through routed chunks follow from; all of it contiguous and on one device.

    q and `grad`, the gradient of the output, are (R, L, D), `lse` and `delta` (R, L) in float32. `pairs`
    are not by slot.
    """

    q: Tensor
    grad: Tensor
    lse: Tensor
    delta: Tensor
    indices_RLK: Tensor
    pairs: Pairs
    scale: float
    heads: int


def output_dot_gradient(out_RLD: Tensor, grad_RLD: Tensor) -> Tensor:
    """The sums (R, L) over D of an output and its gradient, in float32."""
    R, L, D = out_RLD.shape
    delta = torch.empty(R, L, device=out_RLD.device, dtype=torch.float32)
    tile = launch("delta", D, out_RLD.dtype, capability_of(out_RLD.device))
    delta_kernel[(triton.cdiv(R * L, tile.rows),)](
        out_RLD, grad_RLD, delta, R * L, HEAD=D, WIDTH=padded_head(D), ROWS=tile.rows, **tile.options
    )
    return delta


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
    parts = routed.q.new_empty(min(rows_at_once, R) * L * K, D)
    for first_row in range(0, R, rows_at_once):
        rows = slice(first_row, min(first_row + rows_at_once, R))
        row_count = rows.stop - rows.start
        groups = row_count * count
        ends = torch.empty(groups, dtype=torch.int32, device=device)
        tile_ends_kernel[(1,)](
            pairs.edges,
            ends,
            R,
            first_row,
            row_count,
            pairs.chunks,
            segment.first,
            count,
            PAIRS_A_TILE=tile.rows,
            BLOCK=GROUPS_AT_ONCE,
        )
        most_tiles = row_count * L * K // tile.rows + min(row_count * L * K, groups)
        dq_kernel[(most_tiles,)](
            routed.q,
            routed.grad,
            segment.k_RTD,
            segment.v_RTD,
            routed.lse,
            routed.delta,
            pairs.offsets,
            pairs.ids,
            pairs.edges,
            ends,
            parts,
            segment.k_RTD.stride(0) // D,
            segment.v_RTD.stride(0) // D,
            first_row,
            row_count,
            first_row * L * K,
            routed.heads,
            R // len(segment.k_RTD),
            pairs.chunks,
            segment.first,
            count,
            segment.start,
            routed.scale,
            SLOTS=K,
            HEAD=D,
            WIDTH=padded_head(D),
            QUERIES=tile.rows,
            KEYS=tile.keys,
            PIECE=tile.piece_of(D),
            PRECISION=precision(routed.q.dtype),
            **tile.options,
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


def key_gradients(
    routed: Routed,
    segment: Segment,
    offsets: Ints,
    dk_RTD: Tensor | None,
    dv_RTD: Tensor | None,
    *,
    add: bool,
    splits: int | None = None,
) -> None:
    """Writes the gradients of a segment's keys and values, or with `add` adds them to what is there.

    `offsets` [C + 1] are those of the history's chunks. Tokens of a row of `dk_RTD` and `dv_RTD` are
    contiguous; one that is None is not wanted. `splits` is in how many shares the pairs of a chunk are added;
    None: as many as keep the device busy.
    """
    D = routed.q.shape[2]
    device, pairs = routed.q.device, routed.pairs
    rows, tokens = segment.k_RTD.shape[:2]
    share = len(routed.q) // rows
    tile = launch("dkdv", D, routed.q.dtype, capability_of(device))
    count = segment.last - segment.first
    longest = int(np.diff(offsets[segment.first : segment.last + 1]).max())
    blocks = triton.cdiv(longest, tile.keys)
    programs = rows * count * blocks
    if splits is None:
        splits = _splits(programs, device)
    by_entry = pairs.edges.diff().view(-1, share, routed.heads, pairs.chunks)
    chosen = by_entry[..., segment.first : segment.last].sum(dim=1)
    order = chosen.flatten().argsort(descending=True, stable=True)
    shares = [
        wanted
        if wanted is None or splits == 1
        else wanted.new_empty(splits, rows, tokens, D, dtype=torch.float32)
        for wanted in (dk_RTD, dv_RTD)
    ]
    dk_tokens, dv_tokens = (
        0 if wanted is None else wanted.stride(0) // D if splits == 1 else tokens
        for wanted in (dk_RTD, dv_RTD)
    )
    dkdv_kernel[(programs, splits)](
        routed.q,
        routed.grad,
        segment.k_RTD,
        segment.v_RTD,
        routed.lse,
        routed.delta,
        pairs.offsets,
        pairs.ids,
        pairs.edges,
        order,
        shares[0],
        shares[1],
        segment.k_RTD.stride(0) // D,
        segment.v_RTD.stride(0) // D,
        dk_tokens,
        dv_tokens,
        rows * tokens,
        routed.heads,
        share,
        pairs.chunks,
        segment.first,
        count,
        segment.start,
        blocks,
        routed.scale,
        SLOTS=routed.indices_RLK.shape[2],
        HEAD=D,
        WIDTH=padded_head(D),
        QUERIES=tile.rows,
        KEYS=tile.keys,
        SPLITS=splits,
        ADD=add and splits == 1,
        WANT_K=dk_RTD is not None,
        WANT_V=dv_RTD is not None,
        PIECE=tile.piece_of(D),
        PRECISION=precision(routed.q.dtype),
        **tile.options,
    )
    if splits > 1:
        for wanted, parts in zip((dk_RTD, dv_RTD), shares, strict=True):
            if wanted is not None and parts is not None:
                total = parts[0]
                for part in parts[1:]:
                    total += part
                wanted.copy_(total + wanted if add else total)


def _splits(programs: int, device: torch.device) -> int:
    """In how many shares pairs are added, so that a short history keeps all processors busy.

    A power of two, as a kernel is compiled for each.
    """
    enough = PROGRAMS_A_PROCESSOR * _processors(device)
    wanted = min(MOST_SPLITS, max(1, enough // max(1, programs)))
    return 1 << (wanted.bit_length() - 1)


@lru_cache(maxsize=64)
def _processors(device: torch.device) -> int:
    return 1 if INTERPRETED else torch.cuda.get_device_properties(device).multi_processor_count
