"""The memory of one finished take: keys, values and chunk means per layer, in full or in 8 bits.

Keys are kept before rotary embedding, since the position of a take in time is known only when a later shot
attends to it. In 8 bits keys and values are scaled channel by channel, by the greatest magnitude within a
group of tokens; chunk means stay in float32, so that routing hardly changes.

Shapes: N layers, H heads, T tokens, C chunks, G groups of tokens, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.memory.scaling import dequantise_into
from moc_engine.ops.layout import Ints

TENSORS: Final = ("k_NHTD", "v_NHTD", "means_NHCD", "positions_3T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Extent:
    """The size of a take's memory: its tokens, cut into chunks by `offsets` [C + 1], and its token frames.

    The frames are those of the whole take, also where not all of it is remembered.
    """

    offsets: Ints
    frames: int

    def __post_init__(self) -> None:
        if len(self.offsets) < 2 or self.offsets[0] != 0 or (np.diff(self.offsets) < 1).any():
            raise ValueError("offsets: must ascend from 0")
        if self.frames < 1:
            raise ValueError(f"frames: must be 1 or more, got {self.frames}")

    @property
    def chunks(self) -> int:
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        return int(self.offsets[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """The `tokens` of a take that are remembered, ascending in chunk order, and the `chunks` they lie in.

    `extent` is that of the memory, whose chunks are these.
    """

    tokens: Ints
    chunks: Ints
    extent: Extent

    @classmethod
    def of_tokens(cls, tokens: Ints, extent: Extent) -> Kept:
        """From the tokens that are kept and the extent of the whole take."""
        of_chunk = np.searchsorted(extent.offsets, tokens, side="right") - 1
        chunks, lengths = np.unique(of_chunk, return_counts=True)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        return cls(tokens=tokens, chunks=chunks, extent=Extent(offsets=offsets, frames=extent.frames))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scales:
    """The factors of keys and values in 8 bits: those of each channel (N, H, G, D) in float32.

    `offsets` [G + 1] cut the tokens into groups; `dtype` is that of the keys and values before.
    """

    k_NHGD: Tensor
    v_NHGD: Tensor
    offsets: Ints
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return self.k_NHGD.nbytes + self.v_NHGD.nbytes

    def to(self, device: torch.device) -> Scales:
        """The same on a device."""
        k, v = self.k_NHGD.to(device), self.v_NHGD.to(device)
        return Scales(k_NHGD=k, v_NHGD=v, offsets=self.offsets, dtype=self.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class TakeMemory:
    """One take: keys before rotary embedding, values and chunk means, its chunks side by side.

    `positions_3T` places each token in time, height and width, time counting from the take's own start.
    The means are of the keys before or after rotary embedding, as the routing's `pooling` says. Keys and
    values are int8 where there are `scales`.
    """

    k_NHTD: Tensor
    v_NHTD: Tensor
    means_NHCD: Tensor
    positions_3T: Tensor
    scales: Scales | None = None

    @property
    def bytes(self) -> int:
        own: int = sum(getattr(self, name).nbytes for name in TENSORS)
        return own + (0 if self.scales is None else self.scales.bytes)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the keys and values when they are attended to."""
        return self.k_NHTD.dtype if self.scales is None else self.scales.dtype

    @property
    def device(self) -> torch.device:
        return self.k_NHTD.device

    @property
    def full_bytes(self) -> int:
        """The bytes of the keys and values when they are attended to."""
        return 2 * self.k_NHTD.numel() * self.dtype.itemsize

    def to(self, device: torch.device, *, page_locked: bool = False) -> TakeMemory:
        """The same on a device, in main memory `page_locked` for transfers to a GPU."""
        moved = {name: _moved(getattr(self, name), device, page_locked) for name in TENSORS}
        return TakeMemory(**moved, scales=None if self.scales is None else self.scales.to(device))

    def small_parts(self, device: torch.device) -> SmallParts:
        """What a render holds on its device, wherever keys and values are."""
        scales = None if self.scales is None else self.scales.to(device)
        means, positions = self.means_NHCD.to(device), self.positions_3T.to(device)
        return SmallParts(means_NHCD=means, positions_3T=positions, scales=scales)

    def in_full(self) -> dict[str, Tensor]:
        """The tensors by name, keys and values in full."""
        tensors = {name: getattr(self, name) for name in TENSORS}
        if self.scales is not None:
            for name, scales in (("k_NHTD", self.scales.k_NHGD), ("v_NHTD", self.scales.v_NHGD)):
                full = torch.empty(tensors[name].shape, dtype=self.dtype, device=self.device)
                dequantise_into(full, tensors[name], scales, self.scales.offsets)
                tensors[name] = full
        return tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class SmallParts:
    """The parts of a memory that are small beside its keys and values."""

    means_NHCD: Tensor
    positions_3T: Tensor
    scales: Scales | None


def _moved(x: Tensor, device: torch.device, page_locked: bool) -> Tensor:
    if device.type != "cpu" or not page_locked or x.is_pinned():
        return x.to(device)
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x)
