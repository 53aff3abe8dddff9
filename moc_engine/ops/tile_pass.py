"""The routed part of a softmax: tiles of queries that share a chunk's keys, forward and backward.

    gather    the queries of all tiles of a block by position, the keys and values of a batch by whole chunks
    attend    a batch of tiles in one operation
    sum       each query sums its outputs, weighted by their shares

Shapes: B batch, H heads, R = B · H rows, L queries, T tokens of the history, K routed chunks per query,
N queries of a block, P positions of its tiles, n tiles of a batch, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.ops.attended import Attended
from moc_engine.ops.layout import Ints
from moc_engine.ops.partial import partial_attention, partial_gradients, shares
from moc_engine.ops.tiles import TileBatch, Tiles, pack

PAIRS_AT_ONCE: Final = 1 << 15
"""Routed pairs handled in one block; each holds a row of D numbers."""

Block = tuple[slice, slice]
"""Rows and queries that are handled at once."""


def plan_blocks(indices_RLK: Tensor, offsets: Ints) -> Iterator[tuple[Block, Tiles]]:
    """The tiles of all blocks that have any; a block is whole rows where possible, as rows share no keys."""
    R, L, K = indices_RLK.shape
    if not K:
        return
    indices, lengths = indices_RLK.cpu().numpy(), np.diff(offsets)
    queries = max(1, min(L, PAIRS_AT_ONCE // K))
    rows = max(1, PAIRS_AT_ONCE // (K * max(1, L)))
    for row in range(0, R, rows):
        for query in range(0, L, queries):
            block = slice(row, min(row + rows, R)), slice(query, min(query + queries, L))
            tiles = pack(indices[block], lengths)
            if tiles.batches:
                yield block, tiles


def merge_routed(
    attended: Attended,
    block: Block,
    tiles: Tiles,
    q_RLD: Tensor,
    history: Sequence[Tensor],
    out_RLD: Tensor,
    lse_RL: Tensor,
    mass_RLK: Tensor,
) -> None:
    """Attends to the routed chunks of a block, and merges them into the output and the log-sum-exp.

    `history` are its keys and values (B, H, T, D). The mass of each index is written.
    """
    device, D = q_RLD.device, q_RLD.shape[-1]
    P = len(tiles.queries)
    outputs = lse_RL.new_empty(P + 1, D)
    lses = lse_RL.new_empty(P + 1)
    outputs[P], lses[P] = 0, -torch.inf  # what slot P, no pair, reads
    queries = _rows(q_RLD[block], tiles.queries)
    for batch, (k, v) in _batches(attended, block, tiles, history, device):
        at = batch.positions
        q = queries[at].view(len(k), 1, batch.width, D)
        parts, part_lses = partial_attention(q, k, v, attended.scale)
        outputs[at].view_as(q).copy_(parts)
        lses[at].view_as(part_lses).copy_(part_lses)

    slots = torch.from_numpy(tiles.slots).to(device)
    pieces = lses.index_select(0, slots.T.flatten()).view(slots.T.shape)
    whole, share = shares(torch.cat((lse_RL[block].reshape(1, -1), pieces)))
    mass = share[1:].T.contiguous()
    merged = _sums(outputs, slots, mass).view_as(out_RLD[block])
    out_RLD[block] = merged.addcmul_(out_RLD[block], share[0].view_as(lse_RL[block])[..., None])
    lse_RL[block] = whole.view_as(lse_RL[block])
    mass_RLK[block] = mass.view_as(mass_RLK[block])


def add_routed_gradients(
    attended: Attended,
    block: Block,
    tiles: Tiles,
    grad_RLD: Tensor,
    q_RLD: Tensor,
    out_RLD: Tensor,
    lse_RL: Tensor,
    history: Sequence[Tensor],
    dq_RLD: Tensor,
    dhistory: Sequence[Tensor | None],
) -> None:
    """Adds the gradients through a block's tiles to `dq_RLD`, and to those of `dhistory` that are wanted."""
    device, D = q_RLD.device, q_RLD.shape[-1]
    P = len(tiles.queries)
    outputs = lse_RL.new_empty(P + 1, D)
    outputs[P] = 0  # what slot P, no pair, reads
    queries, outs, lses = (_rows(x[block], tiles.queries) for x in (q_RLD, out_RLD, lse_RL[..., None]))
    grads = _rows(grad_RLD[block], tiles.queries)
    grads[torch.from_numpy(np.flatnonzero(~tiles.used)).to(device)] = 0
    starts = [None if x is None else _starts(x, block, tiles, attended.offsets) for x in dhistory]
    for batch, (k, v) in _batches(attended, block, tiles, history, device):
        at = batch.positions
        grad, q, out = (x[at].view(len(k), 1, batch.width, D) for x in (grads, queries, outs))
        lse = lses[at].view(q.shape[:3])
        dq, *dkeys = partial_gradients(grad, q, k, v, out, lse, attended.scale)
        outputs[at].view_as(q).copy_(dq)
        for total, start, part in zip(dhistory, starts, dkeys, strict=True):
            if total is not None and start is not None:
                chunks = _chunks(total, batch.length)
                chunks.index_add_(0, start[batch.tiles], part[:, 0].to(total))
    slots = torch.from_numpy(tiles.slots).to(device)
    dq_RLD[block] += _sums(outputs, slots, None).view_as(dq_RLD[block])


def _rows(x: Tensor, rows: NDArray[np.int32]) -> Tensor:
    """Rows of x, (rows, queries, D) as one sequence; `index_select` is many times faster than indexing."""
    return x.reshape(-1, x.shape[-1]).index_select(0, torch.from_numpy(rows).to(x.device))


def _sums(outputs_PD: Tensor, slots_NK: Tensor, weights_NK: Tensor | None) -> Tensor:
    """The sum over K of the outputs at the slots, times their weights, (N, D)."""
    if outputs_PD.device.type == "cpu":  # no copy of the rows
        bags = torch.nn.functional.embedding_bag
        return bags(slots_NK, outputs_PD, mode="sum", per_sample_weights=weights_NK)
    total = outputs_PD.new_zeros(len(slots_NK), outputs_PD.shape[1])
    for nth, slots in enumerate(slots_NK.unbind(1)):
        rows = outputs_PD.index_select(0, slots)
        total += rows if weights_NK is None else rows.mul_(weights_NK[:, nth, None])
    return total


def _batches(
    attended: Attended, block: Block, tiles: Tiles, history: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[TileBatch, tuple[Tensor, Tensor]]]:
    """The batches, and their keys and values (n, 1, length, D), rotated and on `device`."""
    starts = [_starts(x, block, tiles, attended.offsets) for x in history]
    for batch in tiles.batches:
        k, v = (
            _chunks(x, batch.length).index_select(0, start[batch.tiles]).to(device)
            for x, start in zip(history, starts, strict=True)
        )
        if attended.rotary is not None:
            first = torch.from_numpy(attended.offsets[tiles.chunks[batch.tiles]]).to(device)
            k = attended.rotary(k, first[:, None] + torch.arange(batch.length, device=device))
        yield batch, (k[:, None], v[:, None])


def _chunks(x_BHTD: Tensor, length: int) -> Tensor:
    """A view (., length, D) whose entry i is the chunk of `length` tokens that begins at element i."""
    (B, H, T, D), (batch, head, token, _) = x_BHTD.shape, x_BHTD.stride()
    last = (B - 1) * batch + (H - 1) * head + (T - length) * token
    return x_BHTD.as_strided((last + 1, length, D), (1, token, 1))


def _starts(x_BHTD: Tensor, block: Block, tiles: Tiles, offsets: Ints) -> Tensor:
    """The element at which each tile's chunk begins."""
    b, h = np.divmod(tiles.rows + block[0].start, x_BHTD.shape[1])
    batch, head, token, _ = x_BHTD.stride()
    return torch.from_numpy(b * batch + h * head + offsets[tiles.chunks] * token).to(x_BHTD.device)
