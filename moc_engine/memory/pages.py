"""Brings a paged history onto the device, layer by layer, in segments of a fixed size.

    file ──► page-locked memory ──► 8 bits or full, on the device ──► scaled, rotated ──► HistorySegment
      a thread; a stream of its own on a GPU                          on the stream that attends

The next segment, also the first one of the next layer, is fetched while this one is attended to. Memory is
bounded: two buffers for what is fetched, one for the segment that is attended to.

Shapes: H heads, T tokens, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from moc_engine.memory.fetch_slots import ALIGNMENT, FetchSlot, copy_stream
from moc_engine.memory.paged_history import PagedHistory, PagedTake
from moc_engine.memory.scaling import dequantise_into
from moc_engine.memory.spilled import FileTensor
from moc_engine.ops.history_segments import HistorySegment, segment_bounds
from moc_engine.ops.rotary import rotate_pairs

ROTATED_AT_ONCE: Final = 1 << 24
"""Numbers that are rotated at once where this needs memory of its own."""

Angles = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Positions (3, …) to rotary cosines and sines (…, D / 2)."""


@dataclass(kw_only=True, eq=False)
class Traffic:
    """Bytes of keys and values that were read from files, and that were copied to another device."""

    read: int = 0
    copied: int = 0


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Tokens start:stop of a take of the history, which stand from token `at` of a segment on."""

    take: PagedTake
    start: int
    stop: int
    at: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fetched:
    """Keys and values (H, t, D) of the pieces of a segment, as they are kept, on the device."""

    parts: list[tuple[Tensor, Tensor]]
    slot: FetchSlot


class Pages:
    """The segments of a history, layer after layer. What it allocates is about `most_bytes`.

    A chunk that is longer than its part makes it more. `traffic` counts what is moved.
    """

    def __init__(self, history: PagedHistory, angles: Angles, device: torch.device, most_bytes: int) -> None:
        self.layout = history.layout
        self.traffic = Traffic()
        self._history = history
        self._angles = angles
        self._device = device
        width = history.heads * history.head_size
        fetched = 0 if self._is_here(history) else 2 * history.stored_itemsize
        token_bytes = 2 * width * (history.dtype.itemsize + fetched)
        offsets = history.layout.offsets
        self._bounds = list(segment_bounds(offsets, most_bytes // token_bytes))
        self._longest = max(int(offsets[last] - offsets[first]) for first, last in self._bounds)
        self._out = torch.empty(2 * width * self._longest, dtype=history.dtype, device=device)
        self._keeps_turns = 8 * (history.head_size // 2) * history.layout.tokens <= most_bytes // 8
        self._turns: dict[int, Tensor] = {}
        self._slots = self._made_slots(2 * width * self._longest * history.stored_itemsize)
        self._reader: ThreadPoolExecutor | None = None
        self._next: tuple[int, int, _Fetched | Future[_Fetched]] | None = None
        self._turn = 0

    def _made_slots(self, size: int) -> list[FetchSlot]:
        """Two slots that hold so many bytes of keys and values, where and if they are needed."""
        kept = [take.k_NHTD for take in self._history.takes]
        reads = any(isinstance(k, FileTensor) for k in kept)
        copies = self._device.type != "cpu" and not self._is_here(self._history)
        size += ALIGNMENT * 2 * len(kept)
        stream = copy_stream(self._device) if copies else None
        return [FetchSlot(size, self._device, stream, host=reads, device_memory=copies) for _ in range(2)]

    def _is_here(self, history: PagedHistory) -> bool:
        """Whether nothing needs to be fetched."""
        return all(
            isinstance(take.k_NHTD, Tensor) and take.k_NHTD.device == self._device for take in history.takes
        )

    @property
    def is_one(self) -> bool:
        """Whether one segment holds a whole layer."""
        return len(self._bounds) == 1

    @property
    def bytes(self) -> int:
        """The bytes of all buffers."""
        return self._out.nbytes + sum(slot.bytes for slot in self._slots)

    def segments(self, layer: int) -> Iterator[HistorySegment]:
        """The segments of a layer in order; each holds until the next is asked for.

        The caller's work on a segment must be on the current stream before it asks for the next. Raises
        `OSError` where a file is gone.
        """
        for nth in range(len(self._bounds)):
            fetched = self._fetched(layer, nth)
            self._begin(*self._after(layer, nth))
            yield self._ready(fetched, layer, nth)

    def close(self) -> None:
        """Waits for what is being fetched, and gives the buffers back."""
        if self._reader is not None:
            self._reader.shutdown(cancel_futures=True)
        self._next = None
        self._slots.clear()
        self._turns.clear()

    def _after(self, layer: int, nth: int) -> tuple[int, int]:
        if nth + 1 < len(self._bounds):
            return layer, nth + 1
        return (layer + 1) % self._history.layers, 0

    def _begin(self, layer: int, nth: int) -> None:
        """Begins to fetch a segment into the other slot."""
        self._turn += 1
        pieces, slot = self._pieces(nth), self._slots[self._turn % 2]
        if any(isinstance(piece.take.k_NHTD, FileTensor) for piece in pieces):
            self._reader = self._reader or ThreadPoolExecutor(1, thread_name_prefix="pages")
            self._next = layer, nth, self._reader.submit(self._fetch, layer, pieces, slot)
        else:
            self._next = layer, nth, self._fetch(layer, pieces, slot)

    def _fetched(self, layer: int, nth: int) -> _Fetched:
        if self._next is None or self._next[:2] != (layer, nth):
            if self._next is not None and isinstance(self._next[2], Future):
                self._next[2].result()  # its slot must not be written to any more
            self._begin(layer, nth)
        assert self._next is not None
        found, self._next = self._next[2], None
        return found.result() if isinstance(found, Future) else found

    def _pieces(self, nth: int) -> tuple[Piece, ...]:
        first, last = self._bounds[nth]
        start, stop = int(self.layout.offsets[first]), int(self.layout.offsets[last])
        return tuple(
            Piece(
                take=take,
                start=max(start, take.start) - take.start,
                stop=min(stop, take.stop) - take.start,
                at=max(start, take.start) - start,
            )
            for take in self._history.takes
            if take.start < stop and take.stop > start
        )

    @torch.no_grad()
    def _fetch(self, layer: int, pieces: tuple[Piece, ...], slot: FetchSlot) -> _Fetched:
        """Brings pieces onto the device; what lies there is taken as it is."""
        parts = []
        with slot.filling():
            for piece in pieces:
                both = (piece.take.k_NHTD, piece.take.v_NHTD)
                k, v = (self._part(kept, layer, piece, slot) for kept in both)
                parts.append((k, v))
        return _Fetched(parts=parts, slot=slot)

    def _part(self, kept: Tensor | FileTensor, layer: int, piece: Piece, slot: FetchSlot) -> Tensor:
        if isinstance(kept, FileTensor):
            read = slot.host((kept.shape[1], piece.stop - piece.start, kept.shape[3]), kept.dtype)
            self.traffic.read += kept.read_into(read, layer, piece.start, piece.stop)
        else:
            read = kept[layer, :, piece.start : piece.stop]
        if read.device == self._device:
            return read
        self.traffic.copied += read.nbytes
        copy = slot.on_device(read.shape, read.dtype)
        for source, target in [(read, copy)] if read.is_contiguous() else zip(read, copy, strict=True):
            target.copy_(source, non_blocking=True)  # the tokens of a head lie side by side: needs no staging
        return copy

    @torch.no_grad()
    def _ready(self, fetched: _Fetched, layer: int, nth: int) -> HistorySegment:
        """The segment in full, its keys rotated."""
        fetched.slot.wait()
        first, last = self._bounds[nth]
        start, stop = int(self.layout.offsets[first]), int(self.layout.offsets[last])
        H, D = self._history.heads, self._history.head_size
        size = H * (stop - start) * D
        k_out, v_out = (part.view(H, stop - start, D) for part in self._out[: 2 * size].split(size))
        turns = self._turns_of(nth)
        for piece, (k, v) in zip(self._pieces(nth), fetched.parts, strict=True):
            tokens = slice(piece.at, piece.at + piece.stop - piece.start)
            out, scales = k_out[:, tokens], piece.take.scales
            if scales is not None:
                dequantise_into(out, k, scales.k_NHGD[layer], scales.offsets, piece.start)
                dequantise_into(v_out[:, tokens], v, scales.v_NHGD[layer], scales.offsets, piece.start)
                k = out
            else:
                v_out[:, tokens].copy_(v)
            _rotate(k, turns[tokens], out)
        fetched.slot.release()
        return HistorySegment(first=first, last=last, start=start, k_HTD=k_out, v_HTD=v_out)

    def _turns_of(self, nth: int) -> Tensor:
        """The rotation of a segment's tokens as complex numbers (t, D / 2)."""
        if nth not in self._turns:
            first, last = self._bounds[nth]
            start, stop = int(self.layout.offsets[first]), int(self.layout.offsets[last])
            positions = self._history.positions_3T[:, start:stop].to(self._device)
            if not self._keeps_turns:
                self._turns.clear()
            self._turns[nth] = torch.complex(*self._angles(positions))
        return self._turns[nth]


def _rotate(k_HTD: Tensor, turns_TD: Tensor, out_HTD: Tensor) -> None:
    """Writes rotated keys into `out_HTD`, which may be the keys themselves."""
    if k_HTD.dtype == turns_TD.dtype.to_real():
        pairs, rotated = (torch.view_as_complex(x.unflatten(-1, (-1, 2))) for x in (k_HTD, out_HTD))
        torch.mul(pairs, turns_TD, out=rotated)
        return
    heads = max(1, ROTATED_AT_ONCE // max(1, k_HTD[0].numel()))
    for first in range(0, len(k_HTD), heads):
        out_HTD[first : first + heads].copy_(rotate_pairs(k_HTD[first : first + heads], turns_TD))
