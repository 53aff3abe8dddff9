"""The gradients of keys and values through routed chunks, by blocks of keys; formulas in `routed_gradients`.

One program adds all pairs that chose the block's chunk, in their order, or one of `splits` shares of them,
which are then added in order. The history may have fewer entries of a batch, each shared by as many that
follow each other.

Shapes: R rows (batch × heads), T tokens of a segment, C chunks, D head width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.layout import Ints
from moc_engine.ops.triton.blocks import add_product, load_rows, product, store_rows
from moc_engine.ops.triton.launches import INTERPRETED, capability_of, launch
from moc_engine.ops.triton.routed import LOG2_E, scores_by_pieces
from moc_engine.ops.triton.routed_gradients import Routed
from moc_engine.ops.triton.segments import Segment

PROGRAMS_A_PROCESSOR: Final = 4
MOST_SPLITS: Final = 8


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
        **routed.arguments(segment, tile),
        ORDER=order,
        DK=shares[0],
        DV=shares[1],
        dk_tokens=dk_tokens,
        dv_tokens=dv_tokens,
        split_tokens=rows * tokens,
        blocks=blocks,
        SPLITS=splits,
        ADD=add and splits == 1,
        WANT_K=dk_RTD is not None,
        WANT_V=dv_RTD is not None,
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
