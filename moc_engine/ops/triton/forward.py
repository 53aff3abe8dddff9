"""The forward pass: spans (see `spans`), then routed chunks, merged by log-sum-exp.

    history on the device, rotated      one segment, which is the history itself
    history on the device, unrotated    segments whose keys are rotated into a buffer
    history in main memory              segments that stream through two buffers

Where there is one segment and its partial outputs are small, they are stored and merged in one pass;
otherwise each slot merges in place.

Shapes: B batch, H heads, L queries, T keys of a source, K slots of a query, D head width; R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended
from moc_engine.ops.history_segments import segment_bounds
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.launches import greatest_head
from moc_engine.ops.triton.offsets import device_offsets
from moc_engine.ops.triton.rotating import rotate
from moc_engine.ops.triton.segments import (
    Pairs,
    Running,
    Segment,
    attend_segment,
    attend_stored,
    pack_pairs,
    rows_of,
)
from moc_engine.ops.triton.spans import Piece, dense_pass


@dataclass(frozen=True, kw_only=True, eq=False)
class Forward:
    """The running outputs over everything; the log-sum-exp (B, H, its queries) of each span, and its pieces.

    `row_pairs` are the pairs of queries and chunks where they were not packed by slot, for the backward pass.
    """

    running: Running
    lses: tuple[Tensor, ...]
    pieces: tuple[Piece, ...]
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
    running, lses, pieces = dense_pass(attended, q_BHLD, sources, options, gradients=gradients)
    if pairs is not None:
        _routed_pass(attended, q_BHLD, sources, running, pairs, options)
    row_pairs = None if pairs is None or pairs.by_slot else pairs
    return Forward(running=running, lses=tuple(lses), pieces=tuple(pieces), row_pairs=row_pairs)


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


def _tokens_contiguous(x_BHTD: Tensor) -> Tensor:
    """As it is where the numbers of a token lie side by side."""
    return x_BHTD if x_BHTD.stride(-1) == 1 else x_BHTD.contiguous()
