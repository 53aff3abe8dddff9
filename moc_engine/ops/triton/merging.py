"""Pieces of one softmax are weighed by their log-sum-exps and added, in place.

Shapes: B batch, H heads, L queries, K slots of a query, D head width; R = B · H rows.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.triton.blocks import row_and_block
from moc_engine.ops.triton.launches import capability_of, launch, padded_head


@triton.jit
def merge_slots_kernel(
    OUT,
    LSE,
    PARTS,
    SLOT_LSE,
    out_batch,
    out_head,
    out_token,
    heads,
    first_row,
    queries,
    slots,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
):
    """Merges the partial outputs of rows from `first_row` on into OUT and LSE.

    PARTS (rows, L, K, D) and SLOT_LSE (rows, L, K) begin at that row. A slot whose log-sum-exp is -inf holds
    nothing, and anything may stand in its part.
    """
    nth, block = row_and_block(tl.cdiv(queries, QUERIES))
    row = first_row + nth
    query = (block * QUERIES + tl.arange(0, QUERIES)).to(tl.int64)
    live = query < queries
    d = tl.arange(0, WIDTH)
    width = (d < HEAD)[None, :]
    out_at = (row // heads) * out_batch + (row % heads) * out_head + query[:, None] * out_token + d[None, :]
    lse_at = row * queries + query
    part_at = (nth * queries + query) * slots

    own_lse = tl.load(LSE + lse_at, mask=live, other=0.0)
    highest = own_lse
    for slot in range(slots):
        highest = tl.maximum(highest, tl.load(SLOT_LSE + part_at + slot, mask=live, other=float("-inf")))
    total = tl.exp(own_lse - highest)
    acc = tl.load(OUT + out_at, mask=live[:, None] & width, other=0.0).to(tl.float32) * total[:, None]
    for slot in range(slots):
        lse = tl.load(SLOT_LSE + part_at + slot, mask=live, other=float("-inf"))
        weight = tl.exp(lse - highest)
        total += weight
        holds = (lse != float("-inf"))[:, None] & width
        part = tl.load(PARTS + (part_at[:, None] + slot) * HEAD + d[None, :], mask=holds, other=0.0)
        acc += part.to(tl.float32) * weight[:, None]
    acc = acc / total[:, None]
    tl.store(OUT + out_at, acc.to(OUT.dtype.element_ty), mask=live[:, None] & width)
    tl.store(LSE + lse_at, highest + tl.log(total), mask=live)


@triton.jit
def merge_pair_kernel(
    OUT,
    LSE,
    PART,
    PART_LSE,
    out_batch,
    out_head,
    out_token,
    part_batch,
    part_head,
    part_token,
    heads,
    queries,
    first_query,
    part_queries,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    QUERIES: tl.constexpr,
):
    """Merges PART (B, H, l, D) with PART_LSE (R, l), of the queries from `first_query`, into OUT and LSE."""
    row, block = row_and_block(tl.cdiv(part_queries, QUERIES))
    query = (block * QUERIES + tl.arange(0, QUERIES)).to(tl.int64)
    live = query < part_queries
    d = tl.arange(0, WIDTH)
    mask = live[:, None] & (d < HEAD)[None, :]
    batch = row // heads
    head = row % heads
    place = first_query + query
    out_at = OUT + batch * out_batch + head * out_head + place[:, None] * out_token + d[None, :]
    part_at = PART + batch * part_batch + head * part_head + query[:, None] * part_token + d[None, :]
    lse_at = LSE + row * queries + place
    own_lse = tl.load(lse_at, mask=live, other=0.0)
    part_lse = tl.load(PART_LSE + row * part_queries + query, mask=live, other=0.0)
    highest = tl.maximum(own_lse, part_lse)
    own_weight = tl.exp(own_lse - highest)
    part_weight = tl.exp(part_lse - highest)
    total = own_weight + part_weight
    own = tl.load(out_at, mask=mask, other=0.0).to(tl.float32)
    part = tl.load(part_at, mask=mask, other=0.0).to(tl.float32)
    out = (own * own_weight[:, None] + part * part_weight[:, None]) / total[:, None]
    tl.store(out_at, out.to(OUT.dtype.element_ty), mask=mask)
    tl.store(lse_at, highest + tl.log(total), mask=live)


def merge_slots(
    out_BHLD: Tensor, lse_RL: Tensor, parts_NLKD: Tensor, slot_lse_NLK: Tensor, first_row: int
) -> None:
    """Merges the slots of N rows from `first_row` on into the running output and log-sum-exp."""
    _, H, L, D = out_BHLD.shape
    N, _, K, _ = parts_NLKD.shape
    tile = launch("merge", D, out_BHLD.dtype, capability_of(out_BHLD.device))
    merge_slots_kernel[(triton.cdiv(L, tile.rows) * N,)](
        out_BHLD,
        lse_RL,
        parts_NLKD,
        slot_lse_NLK,
        *out_BHLD.stride()[:3],
        H,
        first_row,
        L,
        K,
        HEAD=D,
        WIDTH=padded_head(D),
        QUERIES=tile.rows,
        **tile.options,
    )


def merge_pair(
    out_BHLD: Tensor, lse_RL: Tensor, part_BHlD: Tensor, part_lse_Rl: Tensor, first_query: int
) -> None:
    """Merges a piece over the queries from `first_query` on into the running output and log-sum-exp."""
    B, H, L, D = out_BHLD.shape
    tile = launch("merge", D, out_BHLD.dtype, capability_of(out_BHLD.device))
    merge_pair_kernel[(triton.cdiv(part_BHlD.shape[2], tile.rows) * B * H,)](
        out_BHLD,
        lse_RL,
        part_BHlD,
        part_lse_Rl,
        *out_BHLD.stride()[:3],
        *part_BHlD.stride()[:3],
        H,
        L,
        first_query,
        part_BHlD.shape[2],
        HEAD=D,
        WIDTH=padded_head(D),
        QUERIES=tile.rows,
        **tile.options,
    )


def shares_of(slot_lse_RLK: Tensor, lse_RL: Tensor) -> Tensor:
    """The share of attention of each slot, in place of its log-sum-exp; 0 where it holds nothing."""
    with torch.no_grad():
        return slot_lse_RLK.sub_(lse_RL[..., None]).exp_()
