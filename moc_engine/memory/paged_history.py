"""A history that is too large to lie side by side: the memories of its takes, wherever each of them is.

Shapes: N layers, H heads, T tokens, C chunks, G groups of tokens, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from moc_engine.memory.history import Timing, in_time
from moc_engine.memory.spilled import FileTensor, SpilledMemory
from moc_engine.memory.take_memory import Extent, Scales, TakeMemory
from moc_engine.ops.layout import ChunkLayout


@dataclass(frozen=True, kw_only=True, eq=False)
class PagedTake:
    """A take of the history: keys and values on a device, in main memory or in a file, not copied.

    `start` is its first token in the history. `scales` are those of keys and values in 8 bits.
    """

    k_NHTD: Tensor | FileTensor
    v_NHTD: Tensor | FileTensor
    scales: Scales | None
    start: int

    @property
    def tokens(self) -> int:
        return self.k_NHTD.shape[2]

    @property
    def stop(self) -> int:
        return self.start + self.tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class PagedHistory:
    """As `History`, with the keys and values of takes where they are kept."""

    layout: ChunkLayout
    takes: tuple[PagedTake, ...]
    means_NHCD: Tensor
    positions_3T: Tensor
    start_C: Tensor
    dtype: torch.dtype

    @property
    def layers(self) -> int:
        return self.means_NHCD.shape[0]

    @property
    def heads(self) -> int:
        return self.means_NHCD.shape[1]

    @property
    def head_size(self) -> int:
        return self.means_NHCD.shape[3]

    @cached_property
    def stored_itemsize(self) -> int:
        """Bytes of the largest number as it is kept."""
        return max(take.k_NHTD.dtype.itemsize for take in self.takes)


def paged_history(
    memories: Sequence[TakeMemory | SpilledMemory],
    extents: Sequence[Extent],
    layout: ChunkLayout,
    timing: Timing,
    device: torch.device,
) -> PagedHistory:
    """The memories of takes as one history, for a render on `device`: small parts are brought there."""
    takes, means, positions, start = [], [], [], 0
    for memory in memories:
        parts = memory.small_parts(device)
        scales = parts.scales
        takes.append(PagedTake(k_NHTD=memory.k_NHTD, v_NHTD=memory.v_NHTD, scales=scales, start=start))
        start = takes[-1].stop
        means.append(parts.means_NHCD)
        positions.append(parts.positions_3T)
    moved, start_C = in_time(torch.cat(positions, dim=1), extents, layout, timing)
    return PagedHistory(
        layout=layout,
        takes=tuple(takes),
        means_NHCD=torch.cat(means, dim=2),
        positions_3T=moved,
        start_C=start_C,
        dtype=memories[0].dtype,
    )
