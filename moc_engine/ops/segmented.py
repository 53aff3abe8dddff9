"""Attention over a history that comes segment by segment: each is merged into the output as it arrives.

So memory does not grow with the history. The pieces are those of `union`.

Shapes: B batch, H heads, L queries, S own keys, T tokens of a segment, C chunks, K routed chunks per query,
D head width; R = B · H rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended, Span
from moc_engine.ops.backend import Mass
from moc_engine.ops.dense_pass import dense_pass
from moc_engine.ops.history_segments import HistorySegment
from moc_engine.ops.layout import Ints
from moc_engine.ops.partial import shares
from moc_engine.ops.tile_pass import merge_routed, plan_blocks


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
    """As `grouped_attention`, over a history that comes in `segments`, in order; `pinned` ascends.

    A segment is done with when the next is asked for. Without gradients.
    """
    B, H, L, D = q_BHLD.shape
    q_RLD = q_BHLD.flatten(0, 1).contiguous()
    indices_RLK = indices_BHLK.reshape(B * H, L, -1)
    scale = 1 / math.sqrt(D) if scale is None else scale
    own = Span(source=0, queries=(0, L), keys=(0, own_k_BHSD.shape[2]))
    out, lse, (own_lse,) = dense_pass(
        _attended((own,), history_offsets, indices_RLK, scale), q_RLD, [own_k_BHSD, own_v_BHSD]
    )
    pinned_lse: list[Tensor] = []
    mass = lse.new_zeros(indices_RLK.shape)
    for segment in segments:
        before = lse.clone()
        sources = [x.expand(B, *x.shape) for x in (segment.k_HTD, segment.v_HTD)]
        offsets = history_offsets[segment.first : segment.last + 1] - segment.start
        spans = [
            Span(source=0, queries=(0, L), keys=(int(offsets[n]), int(offsets[n + 1])))
            for n in (chunk - segment.first for chunk in pinned if segment.first <= chunk < segment.last)
        ]
        inside = (indices_RLK >= segment.first) & (indices_RLK < segment.last)
        attended = _attended(tuple(spans), offsets, (indices_RLK - segment.first).where(inside, -1), scale)
        if spans:
            part, part_lse, lses = dense_pass(attended, q_RLD, sources)
            pinned_lse += lses
            whole, share = shares(torch.stack((lse, part_lse)))
            out = out.mul_(share[0, ..., None]).addcmul_(part, share[1, ..., None])
            lse = whole
        here = torch.zeros_like(mass)
        for block, tiles in plan_blocks(attended.indices_RLK, offsets):
            merge_routed(attended, block, tiles, q_RLD, sources, out, lse, here)
        mass.mul_((before - lse).exp_()[..., None]).add_(here)
    split = (B, H)
    pins = [(part - lse).exp_() for part in pinned_lse]
    return out.to(q_BHLD.dtype).unflatten(0, split), Mass(
        own=(own_lse - lse).exp_()[..., None].unflatten(0, split),
        pinned=(torch.stack(pins, dim=-1) if pins else lse.new_empty(B * H, L, 0)).unflatten(0, split),
        routed=mass.unflatten(0, split),
    )


def _attended(spans: tuple[Span, ...], offsets: Ints, indices_RLK: Tensor, scale: float) -> Attended:
    return Attended(
        spans=spans, history=0, offsets=offsets, indices_RLK=indices_RLK, scale=scale, rotary=None
    )
