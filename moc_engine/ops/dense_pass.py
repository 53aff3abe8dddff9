"""The dense part of a softmax: spans of keys that all queries of a shot attend to, forward and backward.

Equally long spans that touch, such as pinned chunks, are computed at once, so that each tells its own share
of attention without many small operations.

Shapes: R rows (batch × heads), L queries, T keys of a source, l queries of a span, n spans at once,
D head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended, Span
from moc_engine.ops.partial import partial_attention, partial_gradients, shares

OUTPUTS_AT_ONCE: Final = 1 << 15
"""Outputs, of one query to one span each, that are held at once; each is a row of D numbers."""


def dense_pass(
    attended: Attended, q_RLD: Tensor, sources: Sequence[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Output (R, L, D) and log-sum-exp (R, L) of all spans, float32 or wider, and of each span (R, l)."""
    dtype = torch.promote_types(q_RLD.dtype, torch.float32)
    out: Tensor | None = None
    lse = torch.full(q_RLD.shape[:2], -torch.inf, dtype=dtype, device=q_RLD.device)
    lses: list[Tensor] = []
    for queries, parts_RnlD, lses_Rnl in _parts(attended, q_RLD, sources):
        lses += lses_Rnl.unbind(1)
        if out is None and parts_RnlD.shape[1:3] == (1, q_RLD.shape[1]):
            out, lse = parts_RnlD[:, 0].to(dtype), lses_Rnl[:, 0].clone()
            continue
        out = torch.zeros_like(q_RLD, dtype=dtype) if out is None else out
        lse[:, queries], share = shares(torch.cat((lse[None, :, queries], lses_Rnl.transpose(0, 1))))
        merged = out[:, queries].mul_(share[0, ..., None])
        for part, weight in zip(parts_RnlD.unbind(1), share[1:], strict=True):
            merged.addcmul_(part.to(dtype), weight[..., None])
    return torch.zeros_like(q_RLD, dtype=dtype) if out is None else out, lse, lses


def add_dense_gradients(
    attended: Attended,
    grad_RLD: Tensor,
    q_RLD: Tensor,
    out_RLD: Tensor,
    lse_RL: Tensor,
    sources: Sequence[Tensor],
    dq_RLD: Tensor,
    dsources: Sequence[Tensor | None],
) -> None:
    """Adds the gradients through the spans to `dq_RLD` and to those of `dsources` that are wanted."""
    for run in _runs(attended.spans, equal=False):
        queries = slice(*run[0].queries)
        k, v = (x[:, None] for x in _keys(attended, run, sources, q_RLD.device))
        grad, q, out = (x[:, None, queries] for x in (grad_RLD, q_RLD, out_RLD))
        dq, *dkeys = partial_gradients(grad, q, k, v, out, lse_RL[:, None, queries], attended.scale)
        dq_RLD[:, queries] += dq[:, 0]
        totals = dsources[2 * run[0].source : 2 * run[0].source + 2]
        for total, part in zip(totals, dkeys, strict=True):
            if total is not None:
                span = total[:, :, run[0].keys[0] : run[-1].keys[1]]
                span += part[:, 0].view(span.shape).to(total.device)


def _parts(
    attended: Attended, q_RLD: Tensor, sources: Sequence[Tensor]
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Queries, outputs (R, n, l, D) and log-sum-exps (R, n, l) of n spans at a time."""
    for run in _runs(attended.spans, equal=True):
        queries = slice(*run[0].queries)
        q = q_RLD[:, None, queries]
        keys = (x.unflatten(1, (len(run), -1)) for x in _keys(attended, run, sources, q.device))
        at_once = max(1, OUTPUTS_AT_ONCE // (q.shape[0] * q.shape[2]))
        for k, v in zip(*(x.split(at_once, dim=1) for x in keys), strict=True):
            yield queries, *partial_attention(q.expand(-1, k.shape[1], -1, -1), k, v, attended.scale)


def _runs(spans: Sequence[Span], *, equal: bool) -> Iterator[list[Span]]:
    """Spans in a row with the same queries whose keys touch, and with `equal` are equally long."""
    run: list[Span] = []
    for span in spans:
        if run and not (_follows(run[-1], span) and (not equal or _length(span) == _length(run[-1]))):
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _follows(span: Span, other: Span) -> bool:
    same = (span.source, span.queries) == (other.source, other.queries)
    return same and span.keys[1] == other.keys[0]


def _length(span: Span) -> int:
    return span.keys[1] - span.keys[0]


def _keys(
    attended: Attended, run: Sequence[Span], sources: Sequence[Tensor], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Keys and values (R, T, D) of spans that touch, rotated and on `device`."""
    start, stop, source = run[0].keys[0], run[-1].keys[1], run[0].source
    k, v = (x[:, :, start:stop].flatten(0, 1).to(device) for x in sources[2 * source : 2 * source + 2])
    if attended.rotary is not None and source == attended.history:
        k = attended.rotary(k, torch.arange(start, stop, device=device))
    return k, v
