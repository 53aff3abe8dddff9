"""The attention that each of adjacent spans of keys received, given the log-sum-exp over all of them.

    share of a span = Σ exp(q·k · scale - lse)

A program sums the weights of a tile of queries span by span. It needs no running maximum and no values, so it
takes half of the products of attention. A span's sum has one order, so the same input gives the same bits.

Shapes: B batch, H heads, L queries, S keys, D head width; R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.triton.blocks import product, row_and_block
from moc_engine.ops.triton.launches import capability_of, launch, padded_head, precision
from moc_engine.ops.triton.offsets import device_offsets
from moc_engine.ops.triton.routed import LOG2_E, scores_by_pieces


@triton.jit
def _weights(
    Q,
    K,
    q,
    lse2,
    live,
    inside,
    scale2,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """exp(q·k · scale - lse) of the rows at the pointers Q (QUERIES,) and K (KEYS,)."""
    if PIECE == WIDTH:
        d = tl.arange(0, WIDTH)
        mask = inside[:, None] if WIDTH == HEAD else inside[:, None] & (d < HEAD)[None, :]
        k = tl.load(K[:, None] + d[None, :], mask=mask, other=0.0)
        scores = product(q, tl.trans(k), PRECISION)
    else:
        scores = scores_by_pieces(Q, K, live, inside, HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION)
    return tl.where(inside[None, :], tl.exp2(scores * scale2 - lse2[:, None]), 0.0)


@triton.jit(do_not_specialize=["spans"])
def span_lse_kernel(
    Q,
    K,
    LSE,
    BOUNDS,
    OUT,
    q_batch,
    q_head,
    q_token,
    k_batch,
    k_head,
    k_token,
    heads,
    queries,
    spans,
    scale,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PIECE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """OUT (spans, R, L): the log-sum-exp of the keys BOUNDS[n] : BOUNDS[n + 1]; LSE (R, L) is that of all."""
    row, block = row_and_block(tl.cdiv(queries, QUERIES))
    query = (block * QUERIES + tl.arange(0, QUERIES)).to(tl.int64)
    live = query < queries
    d = tl.arange(0, WIDTH)
    q_rows = Q + (row // heads) * q_batch + (row % heads) * q_head + query * q_token
    K += (row // heads) * k_batch + (row % heads) * k_head
    q = live
    if PIECE == WIDTH:
        q = tl.load(q_rows[:, None] + d[None, :], mask=live[:, None] & (d < HEAD)[None, :], other=0.0)
    at = row * queries + query
    lse = tl.load(LSE + at, mask=live, other=0.0)
    lse2 = lse * LOG2_E
    n = tl.arange(0, KEYS)
    rows = (tl.num_programs(0) // tl.cdiv(queries, QUERIES)).to(tl.int64)
    for span in range(spans):
        start = tl.load(BOUNDS + span)
        stop = tl.load(BOUNDS + span + 1)
        total = tl.zeros((QUERIES,), tl.float32)
        for begin in range(start, stop, KEYS):
            key = begin + n
            k_rows = K + key.to(tl.int64) * k_token
            weights = _weights(
                q_rows, k_rows, q, lse2, live, key < stop, scale * LOG2_E,
                HEAD, WIDTH, QUERIES, KEYS, PIECE, PRECISION,
            )  # fmt: skip
            total += tl.sum(weights, 1)
        some = total > 0.0
        span_lse = tl.where(some, lse + tl.log(tl.where(some, total, 1.0)), float("-inf"))
        tl.store(OUT + span * rows * queries + at, span_lse, mask=live)


def span_lses(
    q_BHLD: Tensor, k_BHSD: Tensor, lse_BHL: Tensor, bounds: Sequence[int], scale: float
) -> tuple[Tensor, ...]:
    """The log-sum-exps (B, H, L) of the keys between each two of the ascending `bounds`, in float32.

    `lse_BHL`, contiguous and in float32, is that of all keys; numbers of a token are contiguous. A span whose
    share is below what float32 holds has -inf.
    """
    B, H, L, D = q_BHLD.shape
    k_BHSD = k_BHSD if k_BHSD.stride(-1) == 1 else k_BHSD.contiguous()
    out = torch.empty(len(bounds) - 1, B, H, L, dtype=torch.float32, device=q_BHLD.device)
    tile = launch("masses", D, q_BHLD.dtype, capability_of(q_BHLD.device))
    span_lse_kernel[(triton.cdiv(L, tile.rows) * B * H,)](
        q_BHLD,
        k_BHSD,
        lse_BHL,
        device_offsets(np.asarray(bounds), q_BHLD.device),
        out,
        *q_BHLD.stride()[:3],
        *k_BHSD.stride()[:3],
        H,
        L,
        len(bounds) - 1,
        scale,
        HEAD=D,
        WIDTH=padded_head(D),
        QUERIES=tile.rows,
        KEYS=tile.keys,
        PIECE=tile.piece_of(D),
        PRECISION=precision(q_BHLD.dtype),
        **tile.options,
    )
    return out.unbind(0)
