"""The memories of a context side by side, and where each of them stands in time.

Shapes: N layers, H heads, T tokens, C chunks, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import Positions
from moc_engine.memory.take_memory import Extent
from moc_engine.ops.layout import VIDEO, ChunkLayout, Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """The memories of a context side by side in story order, as a new shot at time 0 sees them.

    `positions_3T` are before zero, as the timing has it; `start_C` is by how much each chunk was moved in
    time. `layout` holds video chunks alone. The tokens of a head lie side by side, but heads may lie further
    apart.
    """

    layout: ChunkLayout
    k_NHTD: Tensor
    v_NHTD: Tensor
    means_NHCD: Tensor
    positions_3T: Tensor
    start_C: Tensor

    @property
    def heads(self) -> int:
        return self.k_NHTD.shape[1]

    @property
    def head_size(self) -> int:
        return self.k_NHTD.shape[3]

    @property
    def dtype(self) -> torch.dtype:
        return self.k_NHTD.dtype


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Where takes stand in time before a shot that begins at 0, with `between` frames of its own before it.

    continue    one after the other, the last one ending where those begin
    clamp       the same, but no chunk begins more than `trained` latent frames before them
    restart     each ends where those begin, as if it alone had come before
    """

    positions: Positions = "continue"
    trained: int = 0
    between: int = 0

    def starts(self, extents: Sequence[Extent]) -> list[int]:
        """The time at which each take begins, in frames of tokens; not clamped yet."""
        frames = [extent.frames for extent in extents]
        if self.positions == "restart":
            return [-self.between - length for length in frames]
        return [-self.between - sum(frames[nth:]) for nth in range(len(frames))]

    def moved(self, start_C: Ints, first_C: Ints) -> Ints:
        """By how much each chunk is moved whose take begins at `start_C` and which begins `first_C` later."""
        if self.positions != "clamp":
            return start_C
        return np.maximum(start_C, -self.between - self.trained - first_C)


def history_layout(extents: Sequence[Extent], shots: Sequence[int]) -> ChunkLayout:
    """The chunks of takes side by side, each of which is a shot of the given number."""
    lengths = np.concatenate([np.diff(extent.offsets) for extent in extents])
    return ChunkLayout(
        np.concatenate(([0], np.cumsum(lengths))),
        np.repeat(list(shots), [extent.chunks for extent in extents]),
        np.full(len(lengths), VIDEO),
    )


def in_time(
    positions_3T: Tensor,
    extents: Sequence[Extent],
    layout: ChunkLayout,
    timing: Timing,
) -> tuple[Tensor, Tensor]:
    """Positions within takes, moved to their places in time, and by how much each chunk was moved."""
    starts = np.asarray(timing.starts(extents), dtype=np.int64)
    start_C = np.repeat(starts, [extent.chunks for extent in extents])
    if timing.positions == "clamp":
        first_C = positions_3T[0].cpu().numpy()[layout.offsets[:-1]]
        start_C = timing.moved(start_C, first_C)
    moved = positions_3T.clone(memory_format=torch.contiguous_format)
    moved[0] += torch.from_numpy(np.repeat(start_C, layout.lengths)).to(moved)
    return moved, torch.from_numpy(start_C).to(moved)
