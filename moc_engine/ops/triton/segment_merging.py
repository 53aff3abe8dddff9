"""Attention over a history that comes segment by segment, by the library's dense kernels and Triton's.

Shapes: B batch, H heads, L queries, S own keys, C chunks, K routed chunks per query, D head width; R = B · H.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from moc_engine.ops.backend import Mass
from moc_engine.ops.history_segments import HistorySegment
from moc_engine.ops.layout import Ints
from moc_engine.ops.triton.dense import dense_attention
from moc_engine.ops.triton.launches import greatest_head
from moc_engine.ops.triton.merging import merge_pair, shares_of
from moc_engine.ops.triton.offsets import device_offsets
from moc_engine.ops.triton.segments import Pairs, Running, Segment, attend_segment, pack_pairs


@torch.no_grad()
def segmented_attention(
    q_BHLD: Tensor,
    own_k_BHSD: Tensor,
    own_v_BHSD: Tensor,
    segments: Iterable[HistorySegment],
    history_offsets: Ints,
    indices_BHLK: Tensor,
    *,
    pinned: Sequence[int] = (),
    scale: float | None = None,
) -> tuple[Tensor, Mass]:
    """As `OverSegments`; the pairs of queries and chunks are packed once for all segments.

    Raises `ValueError` where a head is too wide.
    """
    B, H, L, D = q_BHLD.shape
    if greatest_head("routed") < D:
        raise ValueError(f"q: heads of at most {greatest_head('routed')} are supported, got {D}")
    scale = 1 / math.sqrt(D) if scale is None else scale
    q, own_k, own_v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q_BHLD, own_k_BHSD, own_v_BHSD))
    indices_RLK = indices_BHLK.reshape(B * H, L, -1)
    pairs: Pairs | None = None
    if indices_RLK.shape[-1] and len(history_offsets) > 1:
        pairs = pack_pairs(indices_RLK, device_offsets(history_offsets, q.device), by_slot=True)
    own = dense_attention(q, own_k, own_v, scale)
    lse = own.lse.reshape(B * H, L).clone()
    slot_lse = lse.new_full(indices_RLK.shape, -torch.inf)
    running = Running(out_BHLD=own.out, lse_RL=lse, slot_lse_RLK=slot_lse)
    pinned_lse: list[Tensor] = []
    for segment in segments:
        for chunk in pinned:
            if not segment.first <= chunk < segment.last:
                continue
            first, stop = (int(history_offsets[n]) - segment.start for n in (chunk, chunk + 1))
            k, v = (x[None, :, first:stop].expand(B, -1, -1, -1) for x in (segment.k_HTD, segment.v_HTD))
            part = dense_attention(q, k, v, scale)
            pinned_lse.append(part.lse)
            merge_pair(running.out_BHLD, running.lse_RL, part.out, part.lse.reshape(B * H, L), 0)
        if pairs is not None:
            attend_segment(
                running,
                q,
                Segment(
                    k_RTD=segment.k_HTD,
                    v_RTD=segment.v_HTD,
                    first=segment.first,
                    last=segment.last,
                    start=segment.start,
                ),
                pairs,
                scale,
            )
    lse_BHL = running.lse_RL.unflatten(0, (B, H))
    pins = [(part - lse_BHL).exp() for part in pinned_lse]
    return running.out_BHLD, Mass(
        own=(own.lse - lse_BHL).exp()[..., None],
        pinned=torch.stack(pins, dim=-1) if pins else lse_BHL.new_empty(B, H, L, 0),
        routed=shares_of(slot_lse, running.lse_RL).unflatten(0, (B, H)),
    )
