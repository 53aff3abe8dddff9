"""One softmax over the union of spans and tiles, forward and backward.

Spans are products of contiguous queries and keys, tiles products of gathered ones. Their outputs merge by
log-sum-exp, which also gives the share of attention of each. Memory grows with the queries alone. Every
gather has one writer and every sum one order, so the same input gives the same bits.

Shapes: B batch, H heads, L queries, T keys of a source, K routed chunks per query, D head width;
R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from moc_engine.ops.attended import Attended, Span
from moc_engine.ops.partial import merge, partial_attention, partial_gradients
from moc_engine.ops.tiles import TileBatch, Tiles, pack

PAIRS_AT_ONCE = 1 << 17
"""Routed pairs handled in one block; each holds a row of D numbers."""


def attend(
    attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The output (B, H, L, D), the mass of each span (B, H, its queries) and of each index (B, H, L, K)."""
    B, H, _, _ = q_BHLD.shape
    flat = (x.flatten(0, 1).contiguous() for x in sources)
    out, lse, routed_lse, *span_lses = _Union.apply(attended, q_BHLD.flatten(0, 1), *flat)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        shares = [
            (part - lse[:, slice(*span.queries)]).exp().unflatten(0, (B, H))
            for part, span in zip(span_lses, attended.spans, strict=True)
        ]
        routed = (routed_lse - lse[..., None]).exp().unflatten(0, (B, H))
    return out.unflatten(0, (B, H)), shares, routed


class _Union(torch.autograd.Function):
    """One softmax over spans and tiles. Rows are flat: q (R, L, D), sources k and v (R, T, D) in turn."""

    @staticmethod
    def forward(ctx: Any, attended: Attended, q: Tensor, *sources: Tensor) -> tuple[Tensor, ...]:
        out, lse, span_lses = _dense_pass(attended, q, sources)
        R, L, K = attended.indices_RLK.shape
        routed_lse = lse.new_full((R, L, K), -torch.inf)
        blocks = list(_blocks(attended.indices_RLK))
        plans = [pack(attended.indices_RLK[block], np.diff(attended.offsets)) for block in blocks]
        for block, tiles in zip(blocks, plans, strict=True):
            if tiles.positions:
                _routed_pass(attended, block, tiles, q, sources, out, lse, routed_lse)
        ctx.attended, ctx.blocks, ctx.plans = attended, blocks, plans
        out = out.to(q.dtype)
        ctx.save_for_backward(q, out, lse, *sources)
        ctx.mark_non_differentiable(lse, routed_lse, *span_lses)
        return out, lse, routed_lse, *span_lses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        q, out, lse, *sources = ctx.saved_tensors
        attended: Attended = ctx.attended
        grad = grads[0].contiguous()
        dq = torch.zeros_like(q, dtype=lse.dtype)
        wanted = ctx.needs_input_grad[2:]
        dsources = [
            torch.zeros_like(x, dtype=lse.dtype) if want else None
            for x, want in zip(sources, wanted, strict=True)
        ]
        for span in attended.spans:
            queries = slice(*span.queries)
            k, v = _span_keys(attended, span, sources, q.device)
            parts = partial_gradients(
                grad[:, queries], q[:, queries], k, v, out[:, queries], lse[:, queries], attended.scale
            )
            dq[:, queries] += parts[0]
            for nth, part in zip((2 * span.source, 2 * span.source + 1), parts[1:], strict=True):
                total = dsources[nth]
                if total is not None:
                    total[:, slice(*span.keys)] += part.to(total.device)
        for block, tiles in zip(ctx.blocks, ctx.plans, strict=True):
            if tiles.positions:
                _routed_gradients(attended, block, tiles, grad, q, out, lse, sources, dq, dsources)
        return None, dq.to(q.dtype), *(d if d is None else d.to(q.dtype) for d in dsources)


def _dense_pass(
    attended: Attended, q: Tensor, sources: Sequence[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Spans merged: output (R, L, D) and log-sum-exp (R, L) in float32 or wider, and each span's own."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    out = torch.zeros_like(q, dtype=dtype)
    lse = out.new_full(q.shape[:2], -torch.inf)
    lses = []
    for span in attended.spans:
        queries = slice(*span.queries)
        k, v = _span_keys(attended, span, sources, q.device)
        part, part_lse = partial_attention(q[:, queries], k, v, attended.scale)
        out[:, queries], lse[:, queries] = merge(out[:, queries], lse[:, queries], part, part_lse)
        lses.append(part_lse)
    return out, lse, lses


def _span_keys(
    attended: Attended, span: Span, sources: Sequence[Tensor], device: torch.device
) -> tuple[Tensor, Tensor]:
    k, v = (x[:, slice(*span.keys)].to(device) for x in sources[2 * span.source : 2 * span.source + 2])
    if attended.rotary is not None and span.source == attended.history:
        k = attended.rotary(k, torch.arange(*span.keys, device=device))
    return k, v


Block = tuple[slice, slice]
"""Rows and queries that are handled at once."""


def _blocks(indices_RLK: Tensor) -> Iterator[Block]:
    """Blocks of at most `PAIRS_AT_ONCE` pairs: whole rows where possible, as rows share no keys."""
    R, L, K = indices_RLK.shape
    queries = max(1, min(L, PAIRS_AT_ONCE // max(1, K)))
    rows = max(1, PAIRS_AT_ONCE // max(1, K * L))
    for row in range(0, R, rows):
        for query in range(0, L, queries):
            yield slice(row, min(row + rows, R)), slice(query, min(query + queries, L))


def _routed_pass(
    attended: Attended,
    block: Block,
    tiles: Tiles,
    q: Tensor,
    sources: Sequence[Tensor],
    out: Tensor,
    lse: Tensor,
    routed_lse: Tensor,
) -> None:
    """Attends to the routed chunks of a block and merges them into `out`, `lse` and `routed_lse`."""
    D = q.shape[-1]
    queries = q[block].reshape(-1, D)
    tile_out = q.new_empty(tiles.positions + 1, D)
    tile_lse = lse.new_empty(tiles.positions + 1)
    tile_out[-1], tile_lse[-1] = 0, -torch.inf  # what slot -1, no pair, reads
    for batch in tiles.batches:
        k, v = _tile_keys(attended, block, batch, sources, q.device)
        part, part_lse = partial_attention(_rows(queries, batch.queries), k, v, attended.scale)
        tile_out[batch.first : batch.last] = part.flatten(0, 1)
        tile_lse[batch.first : batch.last] = part_lse.flatten()

    slots = tiles.slots.where(tiles.slots >= 0, tiles.positions)
    lses = _rows(tile_lse, slots)
    merged = torch.logaddexp(lse[block].flatten(), lses.logsumexp(dim=-1))
    block_out = out[block].reshape(-1, D) * (lse[block].flatten() - merged).exp()[:, None]
    weights = (lses - merged[:, None]).exp()
    for nth in range(slots.shape[1]):
        block_out.addcmul_(_rows(tile_out, slots[:, nth]).to(block_out.dtype), weights[:, nth, None])
    out[block] = block_out.view(out[block].shape)
    lse[block] = merged.view(lse[block].shape)
    routed_lse[block] = lses.view(routed_lse[block].shape)


def _routed_gradients(
    attended: Attended,
    block: Block,
    tiles: Tiles,
    grad: Tensor,
    q: Tensor,
    out: Tensor,
    lse: Tensor,
    sources: Sequence[Tensor],
    dq: Tensor,
    dsources: Sequence[Tensor | None],
) -> None:
    """Adds the gradients through a block's tiles to `dq` and the history's `dsources`."""
    D = q.shape[-1]
    grads, queries, outs = (x[block].reshape(-1, D) for x in (grad, q, out))
    lses = lse[block].flatten()
    dqueries = q.new_empty(tiles.positions + 1, D)
    dqueries[-1] = 0  # what slot -1, no pair, reads
    for batch in tiles.batches:
        k, v = _tile_keys(attended, block, batch, sources, q.device)
        through = _rows(grads, batch.queries).masked_fill_(~batch.used[..., None], 0)
        tile_q, tile_out, tile_lse = (_rows(x, batch.queries) for x in (queries, outs, lses))
        parts = partial_gradients(through, tile_q, k, v, tile_out, tile_lse, attended.scale)
        dqueries[batch.first : batch.last] = parts[0].flatten(0, 1)
        _add_keys(attended, block, batch, parts[1:], dsources[2 * attended.history :])
    slots = tiles.slots.where(tiles.slots >= 0, tiles.positions)
    total = torch.zeros_like(dq[block]).view(-1, D)
    for nth in range(slots.shape[1]):
        total += _rows(dqueries, slots[:, nth])
    dq[block] += total.view(dq[block].shape)


def _rows(x: Tensor, indices: Tensor) -> Tensor:
    """x[indices] for whole rows of x; `index_select` is many times faster than indexing on a CPU."""
    return x.index_select(0, indices.flatten()).view(*indices.shape, *x.shape[1:])


def _tile_tokens(
    attended: Attended, block: Block, batch: TileBatch, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The history tokens (n, length) of a batch's tiles, and its rows (n, 1) among all rows."""
    starts = torch.tensor(attended.offsets, device=device)[batch.chunks.to(device)]
    tokens = starts[:, None] + torch.arange(batch.length, device=device)
    return tokens, batch.rows.to(device)[:, None] + block[0].start


def _tile_keys(
    attended: Attended, block: Block, batch: TileBatch, sources: Sequence[Tensor], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The keys and values (n, length, D) of a batch's tiles, rotated and on `device`."""
    history = sources[2 * attended.history : 2 * attended.history + 2]
    tokens, rows = _tile_tokens(attended, block, batch, history[0].device)
    flat = rows * history[0].shape[1] + tokens
    k, v = (_rows(x.flatten(0, 1), flat).to(device) for x in history)
    if attended.rotary is not None:
        k = attended.rotary(k, tokens.to(device))
    return k, v


def _add_keys(
    attended: Attended,
    block: Block,
    batch: TileBatch,
    parts: Sequence[Tensor],
    dhistory: Sequence[Tensor | None],
) -> None:
    """Adds the tiles' gradients to their keys: the n-th tiles of all chunks at once, so that none collide."""
    nth = _nth_of_run(batch.chunks * (block[0].stop - block[0].start) + batch.rows)
    turns = [(nth == turn).nonzero()[:, 0] for turn in range(int(nth.max()) + 1)]
    for total, part in zip(dhistory, parts, strict=True):
        if total is None:
            continue
        tokens, rows = _tile_tokens(attended, block, batch, total.device)
        for these in turns:
            there = these.to(total.device)
            total[rows[there], tokens[there]] += part[these].to(total.device, total.dtype)


def _nth_of_run(keys: Tensor) -> Tensor:
    """For each entry of a sequence whose equal entries are adjacent, how many equal ones precede it."""
    numbers = torch.arange(len(keys), device=keys.device)
    begins = torch.ones_like(keys, dtype=torch.bool)
    begins[1:] = keys[1:] != keys[:-1]
    return numbers - numbers.where(begins, 0).cummax(dim=0).values
