"""Buffers that pages are fetched into: page-locked memory of the host, and memory of the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

ALIGNMENT: Final = 16
"""Bytes at whose multiples tensors begin in a slot."""


def copy_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream for copies to a GPU beside its work; None for other devices."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None


class FetchSlot:
    """Room for `size` bytes on the host and as many on the device, where they are needed.

    What is asked for between two fillings lies side by side. To a GPU it is copied on `stream`.
    """

    def __init__(
        self,
        size: int,
        device: torch.device,
        stream: torch.cuda.Stream | None,
        *,
        host: bool,
        device_memory: bool,
    ) -> None:
        self._device = device
        self._stream = stream
        self._host = self._memory = torch.empty(0, dtype=torch.uint8)
        if host:
            self._host = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
        if device_memory:
            self._memory = torch.empty(size, dtype=torch.uint8, device=device)
        self._host_at = self._at = 0
        self._copied = None if stream is None else torch.cuda.Event()
        self._free = None if stream is None else torch.cuda.Event()
        if stream is not None and device_memory:
            stream.wait_stream(torch.cuda.current_stream(device))
            self._memory.record_stream(stream)

    @property
    def bytes(self) -> int:
        """The bytes allocated."""
        return self._host.nbytes + self._memory.nbytes

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Within the block the slot is filled anew, once what it held has been used."""
        self._host_at = self._at = 0
        if self._stream is None or self._copied is None or self._free is None:
            yield
            return
        if self._host.nbytes:
            self._copied.synchronize()  # else what is still being copied would be overwritten
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._free)
            yield
            self._copied.record(self._stream)

    def host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The next memory of the host, page-locked for a GPU."""
        part, self._host_at = _cut(self._host, self._host_at, shape, dtype)
        return part

    def on_device(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The next memory of the device."""
        part, self._at = _cut(self._memory, self._at, shape, dtype)
        return part

    def wait(self) -> None:
        """Work on the current stream from now on finds the slot filled."""
        if self._copied is not None:
            torch.cuda.current_stream(self._device).wait_event(self._copied)

    def release(self) -> None:
        """The slot may be filled anew after the work that is on the current stream by now."""
        if self._free is not None:
            self._free.record(torch.cuda.current_stream(self._device))


def _cut(buffer: Tensor, at: int, shape: Sequence[int], dtype: torch.dtype) -> tuple[Tensor, int]:
    """A tensor in the buffer from byte `at` on, and where the next may begin."""
    size = math.prod(shape) * dtype.itemsize
    return buffer[at : at + size].view(dtype).view(tuple(shape)), at + -(-size // ALIGNMENT) * ALIGNMENT
