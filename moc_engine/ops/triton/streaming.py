"""A history that lies in main memory streams through two buffers on the device, segment by segment.

The next segment's transfer runs on a stream of its own while this one is attended to. As the buffers are
kept, the first transfers of a layer overlap what the device still has to do of the layer before. Nothing
waits for the choice of chunks: the union of what all tokens and heads route to is nearly everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from moc_engine.ops.history_segments import segment_bounds
from moc_engine.ops.layout import Ints
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.rotating import rotate
from moc_engine.ops.triton.segments import Segment


@dataclass(kw_only=True, eq=False)
class Traffic:
    """What has been copied to the device since this was made: bytes and segments."""

    bytes: int = 0
    segments: int = 0


@dataclass(kw_only=True, eq=False)
class SegmentBuffers:
    """Two buffers of about `most_bytes` each, through which keys and values stream.

    A chunk that is longer makes them larger. `traffic` counts what is copied.
    """

    most_bytes: int = 1 << 28
    traffic: Traffic = field(default_factory=Traffic)
    _buffers: list[Tensor] = field(default_factory=list)
    _copied: list[torch.cuda.Event] = field(default_factory=list)
    _free: list[torch.cuda.Event] = field(default_factory=list)
    _stream: torch.cuda.Stream | None = None

    def stream(
        self,
        k_RTD: Tensor,
        v_RTD: Tensor,
        offsets: Ints,
        rotary: Rotary | None,
        device: torch.device,
    ) -> Iterator[Segment]:
        """The history's segments in order, keys rotated; each holds until the next but one is asked for.

        The caller's work on a segment must be on the current stream before it asks for the next.
        """
        R, _, D = k_RTD.shape
        most_tokens = self.most_bytes // (2 * R * D * k_RTD.itemsize)
        bounds = list(segment_bounds(offsets, most_tokens))
        tokens = max((int(offsets[last] - offsets[first]) for first, last in bounds), default=0)
        self._reserve(2 * R * tokens * D * k_RTD.itemsize, device)
        if self._stream is not None and k_RTD.device.type == "cuda":
            self._stream.wait_stream(torch.cuda.current_stream(device))  # which may still write the history
        waiting: list[Segment] = []
        for nth, (first, last) in enumerate(bounds):
            waiting.append(self._fetch(nth % 2, k_RTD, v_RTD, offsets, first, last))
            if nth:
                yield from self._ready((nth - 1) % 2, waiting.pop(0), rotary)
        for segment in waiting:
            yield from self._ready((len(bounds) - 1) % 2, segment, rotary)

    def release(self) -> None:
        """Gives the buffers' memory back."""
        self._buffers, self._copied, self._free, self._stream = [], [], [], None

    def _reserve(self, size: int, device: torch.device) -> None:
        if self._buffers and self._buffers[0].nbytes >= size and self._buffers[0].device == device:
            return
        self.release()
        self._buffers = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2)]
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)
            self._stream.wait_stream(torch.cuda.current_stream(device))
            self._copied = [torch.cuda.Event(), torch.cuda.Event()]
            self._free = [torch.cuda.Event(), torch.cuda.Event()]
            for buffer in self._buffers:
                buffer.record_stream(self._stream)

    def _fetch(
        self, buffer: int, k_RTD: Tensor, v_RTD: Tensor, offsets: Ints, first: int, last: int
    ) -> Segment:
        """Begins to copy the chunks first:last into a buffer."""
        R, _, D = k_RTD.shape
        start, stop = int(offsets[first]), int(offsets[last])
        size = R * (stop - start) * D * k_RTD.itemsize
        raw = self._buffers[buffer]
        k, v = (
            part.view(k_RTD.dtype).view(R, stop - start, D) for part in (raw[:size], raw[size : 2 * size])
        )
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            if self._stream is not None:
                self._stream.wait_event(self._free[buffer])
            for row in range(R):  # a row's tokens are contiguous: one copy, which needs no staging
                k[row].copy_(k_RTD[row, start:stop], non_blocking=True)
                v[row].copy_(v_RTD[row, start:stop], non_blocking=True)
            if self._stream is not None:
                self._copied[buffer].record(self._stream)
        self.traffic.bytes += 2 * size
        self.traffic.segments += 1
        return Segment(k_RTD=k, v_RTD=v, first=first, last=last, start=start)

    def _ready(self, buffer: int, segment: Segment, rotary: Rotary | None) -> Iterator[Segment]:
        """The segment once it is copied; the buffer is free when the caller's work on it is done."""
        if self._stream is not None:
            torch.cuda.current_stream(segment.k_RTD.device).wait_event(self._copied[buffer])
        if rotary is not None:
            rotate(segment.k_RTD, segment.k_RTD, rotary, segment.start)
        yield segment
        if self._stream is not None:
            self._free[buffer].record(torch.cuda.current_stream(segment.k_RTD.device))
