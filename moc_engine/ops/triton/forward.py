"""The forward pass: spans by the library's dense kernels, then routed chunks, merged by log-sum-exp.

    history on the device, rotated      one segment, which is the history itself
    history on the device, unrotated    segments whose keys are rotated into a buffer
    history in main memory              segments that stream through two buffers

Where there is one segment and its partial outputs are small, they are stored and merged in one pass;
otherwise each slot merges in place.

Shapes: B batch, H heads, L queries, T keys of a source, K slots of a query, D head width; R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended, Span
from moc_engine.ops.history_segments import segment_bounds
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.dense import DenseCall, dense_attention
from moc_engine.ops.triton.launches import greatest_head
from moc_engine.ops.triton.merging import merge_pair
from moc_engine.ops.triton.offsets import device_offsets
from moc_engine.ops.triton.rotating import rotate
from moc_engine.ops.triton.segments import (
    Pairs,
    Running,
    Segment,
    attend_segment,
    attend_stored,
    pack_pairs,
)
from moc_engine.ops.triton.streaming import SegmentBuffers

Partials = Literal["auto", "stored", "in place"]
Rotation = Literal["buffer", "loaded"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """How much memory the routed pass may use, in bytes.

    `partials`: partial outputs are stored for as many rows as fit `partial_bytes`, or merged in place; "auto"
    stores them where those of all rows fit. `rotation`: keys that are kept unrotated on the device are
    rotated into a buffer of `rotated_bytes`, or each time they are loaded. `buffers` are those of a history
    in main memory; with `always_streamed` also of one that is on the device, which measures what streaming
    costs besides the transfer.
    """

    partials: Partials = "auto"
    partial_bytes: int = 1 << 27
    rotation: Rotation = "buffer"
    rotated_bytes: int = 1 << 28
    buffers: SegmentBuffers = field(default_factory=SegmentBuffers)
    always_streamed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Forward:
    """The running outputs over everything; the log-sum-exp (B, H, its queries) and the call of each span.

    `row_pairs` are the pairs of queries and chunks where they were not packed by slot, for the backward pass.
    """

    running: Running
    lses: tuple[Tensor, ...]
    calls: tuple[DenseCall, ...]
    row_pairs: Pairs | None


@torch.no_grad()
def forward(
    attended: Attended,
    q_BHLD: Tensor,
    sources: Sequence[Tensor],
    options: Options,
    *,
    gradients: bool = False,
) -> Forward:
    """Attention over spans and routed chunks. `sources` are keys and values (B, H, T, D) in turn.

    The history, which may have a batch of 1, may lie in main memory; everything else is on one device.
    With `gradients` the dense kernels are such as can be differentiated. Raises `ValueError` where a head is
    too wide.
    """
    q_BHLD, *sources = (_tokens_contiguous(x) for x in (q_BHLD, *sources))
    D = q_BHLD.shape[-1]
    if greatest_head("routed") < D:
        raise ValueError(f"q: heads of at most {greatest_head('routed')} are supported, got {D}")
    pairs = None
    if attended.indices_RLK.shape[-1] and len(attended.offsets) > 1:  # before outputs take memory
        offsets = device_offsets(attended.offsets, q_BHLD.device)
        by_slot = not _stores_partials(attended, q_BHLD, sources, options)
        pairs = pack_pairs(attended.indices_RLK, offsets, by_slot=by_slot)
    running, lses, calls = _dense_pass(attended, q_BHLD, sources, options, gradients)
    if pairs is not None:
        _routed_pass(attended, q_BHLD, sources, running, pairs, options)
    row_pairs = None if pairs is None or pairs.by_slot else pairs
    return Forward(running=running, lses=tuple(lses), calls=tuple(calls), row_pairs=row_pairs)


def _stores_partials(attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor], options: Options) -> bool:
    """Whether partial outputs are stored, which needs all of the history in one segment."""
    k = sources[2 * attended.history]
    if options.always_streamed or k.device != q_BHLD.device:
        return False
    in_buffer = attended.rotary is not None and options.rotation == "buffer"
    if in_buffer and k.numel() * k.itemsize > options.rotated_bytes:
        return False
    parts = q_BHLD.numel() * q_BHLD.itemsize * attended.indices_RLK.shape[-1]
    return options.partials == "stored" or (options.partials == "auto" and parts <= options.partial_bytes)


def _dense_pass(
    attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor], options: Options, gradients: bool
) -> tuple[Running, list[Tensor], list[DenseCall]]:
    """The running outputs over all spans, and the log-sum-exp and call of each."""
    B, H, L, _ = q_BHLD.shape
    K = attended.indices_RLK.shape[-1]
    out = lse = None
    lses, calls = [], []
    for span in attended.spans:
        first, stop = span.queries
        k, v = span_keys(attended, span, sources, q_BHLD, options)
        part = dense_attention(q_BHLD[:, :, first:stop], k, v, attended.scale, gradients=gradients)
        lses.append(part.lse)
        calls.append(part.call)
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
    return Running(out_BHLD=out, lse_RL=lse, slot_lse_RLK=slot_lse), lses, calls


def span_keys(
    attended: Attended, span: Span, sources: Sequence[Tensor], q_BHLD: Tensor, options: Options
) -> tuple[Tensor, Tensor]:
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


def _routed_pass(
    attended: Attended,
    q_BHLD: Tensor,
    sources: Sequence[Tensor],
    running: Running,
    pairs: Pairs,
    options: Options,
) -> None:
    """Attends to the routed chunks and merges them into `running`."""
    near = sources[2 * attended.history].device == q_BHLD.device and not options.always_streamed
    if attended.rotary is not None and near and options.rotation == "loaded":
        segments = iter((_unrotated_segment(attended, sources),))
    else:
        segments = history_segments(attended, sources, q_BHLD.device, options)
    for segment in segments:
        if pairs.by_slot:
            attend_segment(running, q_BHLD, segment, pairs, attended.scale)
        else:
            rows_at_once = max(1, options.partial_bytes // _row_bytes(running, q_BHLD))
            attend_stored(running, q_BHLD, segment, pairs, attended.scale, rows_at_once=rows_at_once)


def _row_bytes(running: Running, q_BHLD: Tensor) -> int:
    """Bytes of a row's partial outputs."""
    _, L, K = running.slot_lse_RLK.shape
    return L * K * q_BHLD.shape[-1] * q_BHLD.itemsize


def history_segments(
    attended: Attended, sources: Sequence[Tensor], device: torch.device, options: Options
) -> Iterator[Segment]:
    """The history's rotated keys and values on the device; each segment holds until the next is asked for."""
    k, v = (rows_of(x) for x in sources[2 * attended.history : 2 * attended.history + 2])
    if k.device != device or options.always_streamed:
        yield from options.buffers.stream(k, v, attended.offsets, attended.rotary, device)
    elif attended.rotary is not None:
        yield from _rotated_segments(attended, attended.rotary, k, v, options)
    else:
        yield Segment(k_RTD=k, v_RTD=v, first=0, last=len(attended.offsets) - 1, start=0)


def _unrotated_segment(attended: Attended, sources: Sequence[Tensor]) -> Segment:
    """All of the history, whose keys are rotated as they are loaded."""
    k, v = (rows_of(x) for x in sources[2 * attended.history : 2 * attended.history + 2])
    last = len(attended.offsets) - 1
    return Segment(k_RTD=k, v_RTD=v, first=0, last=last, start=0, rotary=attended.rotary)


def _rotated_segments(
    attended: Attended, rotary: Rotary, k_RTD: Tensor, v_RTD: Tensor, options: Options
) -> Iterator[Segment]:
    """The history in segments, keys rotated into one buffer; each holds until the next is asked for."""
    R, _, D = k_RTD.shape
    offsets = attended.offsets
    most_tokens = options.rotated_bytes // (R * D * k_RTD.itemsize)
    bounds = list(segment_bounds(offsets, most_tokens))
    tokens = max(int(offsets[last] - offsets[first]) for first, last in bounds)
    buffer = k_RTD.new_empty(R, tokens, D)
    for first, last in bounds:
        start, stop = int(offsets[first]), int(offsets[last])
        k = buffer[:, : stop - start]
        rotate(k_RTD[:, start:stop], k, rotary, start)
        yield Segment(k_RTD=k, v_RTD=v_RTD[:, start:stop], first=first, last=last, start=start)


def rows_of(x_BHTD: Tensor) -> Tensor:
    """(B, H, T, D) as rows (B · H, T, D) a fixed number of tokens apart, without a copy where they lie so."""
    B, H, T, D = x_BHTD.shape
    if B == 1:
        rows = x_BHTD[0]
    elif x_BHTD.stride(0) == H * x_BHTD.stride(1):
        rows = x_BHTD.as_strided((B * H, T, D), (x_BHTD.stride(1), D, 1))
    else:
        rows = x_BHTD.flatten(0, 1)
    return rows if rows.stride(0) % D == 0 and rows.stride()[1:] == (D, 1) else rows.contiguous()


def _tokens_contiguous(x_BHTD: Tensor) -> Tensor:
    """As it is where the numbers of a token lie side by side."""
    return x_BHTD if x_BHTD.stride(-1) == 1 else x_BHTD.contiguous()
