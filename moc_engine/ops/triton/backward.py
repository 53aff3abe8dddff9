"""Gradients of one softmax over spans and routed chunks, from the merged output and log-sum-exp.

    spans     the dense kernels' own backward, fed with what was merged
    routed    recomputed chunk by chunk, in the segments of the forward pass

A gradient that one piece alone contributes to is written once; those of several pieces are added in float32.

Shapes: B batch, H heads, L queries, T keys of a source, K slots of a query, D head width; R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended
from moc_engine.ops.triton.dense import dense_gradients
from moc_engine.ops.triton.forward import history_segments
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.key_gradients import key_gradients
from moc_engine.ops.triton.offsets import device_offsets
from moc_engine.ops.triton.query_gradients import add_query_gradients
from moc_engine.ops.triton.routed_gradients import Routed, output_dot_gradient
from moc_engine.ops.triton.segments import Pairs, Segment, pack_pairs
from moc_engine.ops.triton.spans import Piece, span_keys


@torch.no_grad()
def gradients(
    attended: Attended,
    q_BHLD: Tensor,
    sources: Sequence[Tensor],
    out_BHLD: Tensor,
    lse_RL: Tensor,
    grad_BHLD: Tensor,
    pieces: Sequence[Piece],
    pairs: Pairs | None,
    wanted: Sequence[bool],
    options: Options,
) -> list[Tensor | None]:
    """The gradients of q and of each of the `sources`, None where they are not `wanted`.

    `out_BHLD` and `lse_RL` are those of the whole, `grad_BHLD` is the gradient of `out_BHLD`; `pieces`
    are the spans as they were computed. `pairs` are packed anew where they are None. Gradients of a source
    lie where the source does.
    """
    q, out, grad = (x.contiguous() for x in (q_BHLD, out_BHLD, grad_BHLD))
    has_routed = bool(attended.indices_RLK.shape[-1]) and len(attended.offsets) > 1
    dq = _Sum(q, wanted[0])
    dsources = [_Sum(x, want) for x, want in zip(sources, wanted[1:], strict=True)]
    _dense_gradients(attended, q, sources, out, lse_RL, grad, pieces, dq, dsources, options)
    if has_routed:
        _routed_gradients(attended, q, sources, out, lse_RL, grad, pairs, dq, dsources, options)
    return [total.total() for total in (dq, *dsources)]


class _Sum:
    """The gradient of x (B, H, T, D), of which pieces cover parts."""

    def __init__(self, x: Tensor, wanted: bool) -> None:
        self.x = x
        self.wanted = wanted
        self.value: Tensor | None = None

    def add(self, part: Tensor, start: int, stop: int) -> None:
        """Adds the gradient of the tokens start:stop, all of them or some."""
        if not self.wanted:
            return
        if len(part) != len(self.x):  # entries of a batch that share their keys
            part = part.float().unflatten(0, (len(self.x), -1)).sum(dim=1)
        if self.value is None and (start, stop) == (0, self.x.shape[2]):
            self.value = part.to(self.x.device)
            return
        self.in_float32()[:, :, start:stop] += part.to(self.x.device)

    def in_float32(self) -> Tensor:
        """What there is so far, to be added to in place."""
        if self.value is None:
            self.value = torch.zeros(self.x.shape, dtype=torch.float32, device=self.x.device)
        self.value = self.value.float().contiguous()
        return self.value

    def total(self) -> Tensor | None:
        if not self.wanted:
            return None
        return torch.zeros_like(self.x) if self.value is None else self.value.to(self.x.dtype)


def _dense_gradients(
    attended: Attended,
    q: Tensor,
    sources: Sequence[Tensor],
    out: Tensor,
    lse_RL: Tensor,
    grad: Tensor,
    pieces: Sequence[Piece],
    dq: _Sum,
    dsources: Sequence[_Sum],
    options: Options,
) -> None:
    lse = lse_RL.view(q.shape[:3])
    for piece in pieces:
        span = piece.span
        dk, dv = dsources[2 * span.source : 2 * span.source + 2]
        if not (dq.wanted or dk.wanted or dv.wanted):
            continue
        first, stop = span.queries
        k, v = span_keys(attended, span, sources, q, options)
        span_grad, span_q, span_out, span_lse = (x[:, :, first:stop] for x in (grad, q, out, lse))
        parts = dense_gradients(piece.call, span_grad, span_q, k, v, span_out, span_lse, attended.scale)
        dq.add(parts[0], first, stop)
        dk.add(parts[1], *span.keys)
        dv.add(parts[2], *span.keys)


def _routed_gradients(
    attended: Attended,
    q: Tensor,
    sources: Sequence[Tensor],
    out: Tensor,
    lse: Tensor,
    grad: Tensor,
    pairs: Pairs | None,
    dq: _Sum,
    dsources: Sequence[_Sum],
    options: Options,
) -> None:
    dk, dv = dsources[2 * attended.history : 2 * attended.history + 2]
    if not (dq.wanted or dk.wanted or dv.wanted):
        return
    L, D = q.shape[2:]
    indices = attended.indices_RLK.contiguous()
    K = indices.shape[2]
    q_RLD, grad_RLD = q.flatten(0, 1), grad.flatten(0, 1)
    if pairs is None:
        pairs = pack_pairs(indices, device_offsets(attended.offsets, q.device), by_slot=False)
    routed = Routed(
        q=q_RLD,
        grad=grad_RLD,
        lse=lse,
        delta=output_dot_gradient(out.flatten(0, 1), grad_RLD),
        indices_RLK=indices,
        pairs=pairs,
        scale=attended.scale,
        heads=q.shape[1],
    )
    rows_at_once = max(1, options.partial_bytes // (L * K * D * q.itemsize))
    for segment in history_segments(attended, sources, q.device, options):
        if dq.wanted:
            _add_query_gradients(routed, segment, dq, rows_at_once)
        if dk.wanted or dv.wanted:
            _add_key_gradients(routed, segment, attended, dk, dv)


def _add_query_gradients(routed: Routed, segment: Segment, dq: _Sum, rows_at_once: int) -> None:
    if (segment.first, segment.last) == (0, routed.pairs.chunks):
        value = torch.zeros_like(routed.q) if dq.value is None else dq.value.contiguous()
        total = torch.empty_like(routed.q)
        add_query_gradients(routed, segment, value.view(total.shape), total, rows_at_once=rows_at_once)
        dq.value = total.view(dq.x.shape)
    else:
        total = dq.in_float32().view(routed.q.shape)
        add_query_gradients(routed, segment, total, total, rows_at_once=rows_at_once)


def _add_key_gradients(routed: Routed, segment: Segment, attended: Attended, dk: _Sum, dv: _Sum) -> None:
    """Adds to the sums in place where all of the history is at hand, and otherwise segment by segment."""
    offsets = attended.offsets
    start, stop = int(offsets[segment.first]), int(offsets[segment.last])
    sums = [total if total.wanted else None for total in (dk, dv)]
    begun = any(total is not None and total.value is not None for total in sums)
    if begun and stop - start == dk.x.shape[2] and dk.x.device == routed.q.device:
        targets = [None if total is None else total.in_float32().flatten(0, 1) for total in sums]
        key_gradients(routed, segment, offsets, targets[0], targets[1], add=True)
        return
    rows, D = len(segment.k_RTD), routed.q.shape[2]
    parts = [None if total is None else routed.q.new_empty(rows, stop - start, D) for total in sums]
    key_gradients(routed, segment, offsets, parts[0], parts[1], add=False)
    for total, part in zip(sums, parts, strict=True):
        if total is not None and part is not None:
            total.add(part.view(*total.x.shape[:2], stop - start, D), start, stop)
