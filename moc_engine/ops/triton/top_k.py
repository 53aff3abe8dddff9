"""The best chunks of each query by their mean keys, in one kernel that never writes the scores.

A program scores a tile of queries against a tile of chunks at a time and keeps the best K so far. Score and
chunk are one integer that orders like the score, then by lower chunk, so that no two are equal. The search in
a tile ends as soon as nothing in it beats what is kept, which is soon in a long story.

Scores are as exact as in float32: queries in half precision are exact, and the float32 means are cut into
parts of the queries' precision, each a product on the tensor cores; float32 queries take three tf32 products.

Shapes: B batch, H heads, L queries, C chunks, D head width, K chosen chunks, R rules.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.triton.blocks import product, row_and_block
from moc_engine.ops.triton.launches import capability_of, launch, padded_head

MOST_CHOSEN: Final = 32
"""The greatest K; a greater one would not fit the registers."""

HEADS: Final = 256
"""The greatest head size."""

PARTS: Final = {torch.float32: (1, 0), torch.bfloat16: (3, 8), torch.float16: (2, 11)}
"""Parts of a mean and bits of each, by the queries' dtype: 24 bits together, or 22."""

_NONE = tl.constexpr(-(1 << 63))


def supports(q_BHLD: Tensor, top_k: int) -> bool:
    """Whether the kernel can choose for these queries."""
    return q_BHLD.dtype in PARTS and q_BHLD.shape[-1] <= HEADS and 0 < top_k <= MOST_CHOSEN


def best_chunks(
    q_BHLD: Tensor,
    means_BHCD: Tensor,
    candidates_BRC: Tensor,
    top_k: int,
    *,
    boosts_BRC: Tensor | None = None,
    rule_L: Tensor | None = None,
) -> Tensor:
    """The best `top_k` candidates of each query: int64 (B, H, L, K), best first, -1 where there are fewer.

    As `choosing.choose_chunks` on float32 scores. Means are float32 and, like candidates and boosts, may have
    a batch of 1, which all entries share. `rule_L` is the rule of each query; None: all have the first.
    """
    B, H, L, D = q_BHLD.shape
    C, K = means_BHCD.shape[2], min(top_k, means_BHCD.shape[2])
    chosen = torch.empty(B, H, L, K, dtype=torch.int64, device=q_BHLD.device)
    if not chosen.numel():
        return chosen
    q = q_BHLD if q_BHLD.stride(-1) == 1 else q_BHLD.contiguous()
    means = means_BHCD.contiguous()
    candidates = candidates_BRC.contiguous().view(torch.uint8)
    boosts = None if boosts_BRC is None else boosts_BRC.contiguous()
    parts, bits = PARTS[q.dtype]
    tile = launch("top_k", D, q.dtype, capability_of(q.device))
    best_kernel[(triton.cdiv(L, tile.rows) * B * H,)](
        q,
        means,
        candidates,
        boosts,
        rule_L,
        chosen,
        *q.stride()[:3],
        0 if len(means) == 1 else means.stride(0),
        0 if len(candidates) == 1 else candidates.stride(0),
        0 if boosts is None or len(boosts) == 1 else boosts.stride(0),
        H,
        L,
        C,
        K=K,
        PADDED_K=triton.next_power_of_2(K),
        D=D,
        PADDED=padded_head(D),
        WIDTH=width_at_once(q.dtype, padded_head(D)),
        PARTS=parts,
        SCALE=float(1 << bits),
        ROWS=tile.rows,
        CHUNKS=tile.keys,
        **tile.options,
    )
    return chosen


def width_at_once(dtype: torch.dtype, padded: int) -> int:
    """How many numbers of a head are multiplied at a time: as many as registers hold."""
    return padded if padded <= 128 and dtype.itemsize == 2 else min(padded, 32)


@triton.jit
def _part_of_rows(X, at, live, first, D: tl.constexpr, WIDTH: tl.constexpr):
    """Numbers first : first + WIDTH of the rows that begin at X + at; zeros beyond D and where not live."""
    d = first + tl.arange(0, WIDTH)
    return tl.load(X + at[:, None] + d[None, :], mask=live[:, None] & (d < D)[None, :], other=0.0)


@triton.jit
def _scores(q, mean, PARTS: tl.constexpr, SCALE: tl.constexpr):
    """q @ meanᵀ in float32, part by part of the means, the smallest first."""
    if PARTS == 1:
        return product(q, tl.trans(mean), "tf32x3")
    high = mean.to(q.dtype)
    rest = (mean - high.to(tl.float32)) * SCALE
    low = rest.to(q.dtype)
    sum = product(q, tl.trans(low), "ieee")
    if PARTS == 3:
        lowest = ((rest - low.to(tl.float32)) * SCALE).to(q.dtype)
        sum += product(q, tl.trans(lowest), "ieee") / SCALE
    return product(q, tl.trans(high), "ieee") + sum / SCALE


@triton.jit
def _ordered(scores, chunk, C):
    """Integers that order like the float32 scores, and for equal ones by lower chunk."""
    bits = (scores + 0.0).to(tl.int32, bitcast=True)  # adding 0 makes -0 and 0 one
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (bits.to(tl.int64) << 32) + (C - 1 - chunk)[None, :]


@triton.jit
def best_kernel(
    Q,
    MEANS,
    CANDIDATES,
    BOOSTS,
    RULE,
    CHOSEN,
    q_batch,
    q_head,
    q_query,
    mean_batch,
    candidate_batch,
    boost_batch,
    H,
    L,
    C,
    K: tl.constexpr,
    PADDED_K: tl.constexpr,
    D: tl.constexpr,
    PADDED: tl.constexpr,
    WIDTH: tl.constexpr,
    PARTS: tl.constexpr,
    SCALE: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNKS: tl.constexpr,
):
    row, block = row_and_block(tl.cdiv(L, ROWS))
    batch = row // H
    head = row % H
    query = block * ROWS + tl.arange(0, ROWS)
    live = query < L
    q_at = batch * q_batch + head * q_head + query.to(tl.int64) * q_query
    q = _part_of_rows(Q, q_at, live, 0, D, WIDTH)
    rule = tl.zeros((ROWS,), tl.int32)
    if RULE is not None:
        rule = tl.load(RULE + query, mask=live, other=0).to(tl.int32)
    slot = tl.arange(0, PADDED_K)
    # of a tile of rows: K slots that differ and are below any score, and slots beyond K that nothing beats
    none = tl.full((ROWS, PADDED_K), _NONE, tl.int64)
    best = tl.where((slot < K)[None, :], none + (1 + slot)[None, :], ~none)
    for begin in range(0, C, CHUNKS):
        chunk = begin + tl.arange(0, CHUNKS)
        inside = chunk < C
        place = rule[:, None] * C + chunk[None, :]
        if RULE is None:
            inside &= tl.load(CANDIDATES + batch * candidate_batch + chunk, mask=inside, other=0) != 0
            allowed = inside[None, :] & live[:, None]
        else:
            allowed = inside[None, :] & live[:, None]
            allowed &= tl.load(CANDIDATES + batch * candidate_batch + place, mask=allowed, other=0) != 0
        if tl.max(tl.max(allowed.to(tl.int32), 1), 0) > 0:
            mean_at = batch * mean_batch + (head * C + chunk) * D
            scores = _scores(q, _part_of_rows(MEANS, mean_at, inside, 0, D, WIDTH), PARTS, SCALE)
            for first in range(WIDTH, PADDED, WIDTH):
                part_of_q = _part_of_rows(Q, q_at, live, first, D, WIDTH)
                part_of_mean = _part_of_rows(MEANS, mean_at, inside, first, D, WIDTH)
                scores += _scores(part_of_q, part_of_mean, PARTS, SCALE)
            if BOOSTS is not None:
                scores += tl.load(BOOSTS + batch * boost_batch + place, mask=allowed, other=0.0)
            keys = tl.where(allowed, _ordered(scores, chunk, C), _NONE)
            top = tl.max(keys, 1)
            worst = tl.min(best, 1)
            while tl.max((top > worst).to(tl.int32), 0) > 0:
                better = (top > worst)[:, None]
                best = tl.where(better & (best == worst[:, None]), top[:, None], best)
                keys = tl.where(keys == top[:, None], _NONE, keys)
                top = tl.max(keys, 1)
                worst = tl.min(best, 1)
    best = tl.where((slot < K)[None, :], best, _NONE)
    at = ((batch * H + head) * L + query) * K
    for nth in range(0, K):
        top = tl.max(best, 1)
        chosen = tl.where(top > _NONE + PADDED_K, C - 1 - (top & 0xFFFFFFFF), -1)
        tl.store(CHOSEN + at + nth, chosen, mask=live)
        best = tl.where(best == top[:, None], _NONE, best)
