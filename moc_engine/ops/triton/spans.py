"""The dense part of a softmax: spans of keys that all queries of a shot attend to, in pieces.

A piece is one call of the library's dense kernels, merged by log-sum-exp with what was before. The share of
attention of each span is wanted too. Spans that touch, such as pinned chunks, can be computed in two ways:

    each a piece    an output for each is written, read and merged: 8 bytes a query and number of a head
    joined          one piece, then a kernel that sums exp(q·k) anew: half of the products of attention

For L queries and spans of S keys that is 8·L·D bytes against 2·L·S·D operations: at 4 TB/s and 450 TFLOP/s
the same for S = 450, so spans up to that are joined.

Shapes: B batch, H heads, L queries, T keys of a source, D head width, K slots of a query; R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended, Span
from moc_engine.ops.triton.dense import DenseCall, dense_attention
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.masses import span_lses
from moc_engine.ops.triton.merging import merge_pair
from moc_engine.ops.triton.rotating import rotate
from moc_engine.ops.triton.segments import Running, rows_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """A span that one call of a dense kernel computed."""

    span: Span
    call: DenseCall


def joined(spans: Sequence[Span], longest: int, most_keys: int) -> Iterator[list[Span]]:
    """Spans in a row, of the same queries, that touch and hold at most `longest` keys each, or one alone.

    Together they have at most `most_keys` keys.
    """
    run: list[Span] = []
    for span in spans:
        if run and not (
            (run[-1].source, run[-1].queries, run[-1].keys[1]) == (span.source, span.queries, span.keys[0])
            and max(_length(run[-1]), _length(span)) <= longest
            and span.keys[1] - run[0].keys[0] <= most_keys
        ):
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _length(span: Span) -> int:
    return span.keys[1] - span.keys[0]


def dense_pass(
    attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor], options: Options, *, gradients: bool
) -> tuple[Running, list[Tensor], list[Piece]]:
    """The running outputs over all spans, the log-sum-exp (B, H, its queries) of each, and the pieces."""
    B, H, L, D = q_BHLD.shape
    K = attended.indices_RLK.shape[-1]
    out = lse = None
    lses, pieces = [], []
    most_keys = options.rotated_bytes // (B * H * D * q_BHLD.itemsize)
    for run in joined(attended.spans, options.longest_joined, most_keys):
        span = Span(source=run[0].source, queries=run[0].queries, keys=(run[0].keys[0], run[-1].keys[1]))
        first, stop = span.queries
        k, v = span_keys(attended, span, sources, q_BHLD, options)
        q = q_BHLD[:, :, first:stop]
        part = dense_attention(q, k, v, attended.scale, gradients=gradients)
        pieces.append(Piece(span=span, call=part.call))
        if len(run) == 1:
            lses.append(part.lse)
        else:
            bounds = [*(each.keys[0] - span.keys[0] for each in run), _length(span)]
            lses += span_lses(q, k, part.lse, bounds, attended.scale)
        part_lse = part.lse.view(B * H, -1)
        if out is None and (first, stop) == (0, L):
            out, lse = part.out, part_lse.clone()
            continue
        if out is None or lse is None:
            out = torch.zeros_like(q_BHLD, memory_format=torch.contiguous_format)
            lse = torch.full((B * H, L), -torch.inf, device=q_BHLD.device)
        merge_pair(out, lse, part.out, part_lse, first)
    if out is None or lse is None:
        out = torch.zeros_like(q_BHLD, memory_format=torch.contiguous_format)
        lse = torch.full((B * H, L), -torch.inf, device=q_BHLD.device)
    slot_lse = lse.new_full((B * H, L, K), -torch.inf)
    return Running(out_BHLD=out, lse_RL=lse, slot_lse_RLK=slot_lse), lses, pieces


def span_keys(
    attended: Attended, span: Span, sources: Sequence[Tensor], q_BHLD: Tensor, options: Options
) -> tuple[Tensor, Tensor]:
    """The keys and values (B, H, keys, D) of a span on the device of the queries, rotated."""
    start, stop = span.keys
    k, v = (x[:, :, start:stop] for x in sources[2 * span.source : 2 * span.source + 2])
    if k.device != q_BHLD.device:
        k, v = (x.to(q_BHLD.device, non_blocking=True) for x in (k, v))
        options.buffers.traffic.bytes += k.nbytes + v.nbytes
    if attended.rotary is not None and span.source == attended.history:
        rotated = torch.empty_like(k, memory_format=torch.contiguous_format)
        rotate(rows_of(k), rows_of(rotated), attended.rotary, start)
        k = rotated
    share = len(q_BHLD) // len(k)
    if len(k) == 1:
        return k.expand(share, -1, -1, -1), v.expand(share, -1, -1, -1)
    return k.repeat_interleave(share, dim=0), v.repeat_interleave(share, dim=0)
