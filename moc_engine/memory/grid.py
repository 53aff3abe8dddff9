"""The token grid of a shot, frames × rows × columns, and its two orders: the model's and by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import Chunking
from moc_engine.memory.take_memory import Extent
from moc_engine.ops.layout import by_frame, by_track


@dataclass(frozen=True, kw_only=True)
class TokenGrid:
    """The tokens of a shot; the model orders them frame by frame and row by row.

    Chunks are its frames, or its tracks: one slot (token of a frame) through all frames. The chunk order puts
    the tokens of a chunk side by side.
    """

    frames: int
    height: int
    width: int
    chunking: Chunking

    @property
    def slots(self) -> int:
        """Slots, the tokens of one frame."""
        return self.height * self.width

    @property
    def tokens(self) -> int:
        return self.frames * self.slots

    @cached_property
    def extent(self) -> Extent:
        if self.chunking == "frame":
            layout = by_frame([self.frames], self.slots)
        else:
            layout, _ = by_track([self.frames], self.slots)
        return Extent(offsets=layout.offsets, frames=self.frames)

    def to_chunks(self, x: Tensor, dim: int) -> Tensor:
        """Tokens along `dim` from the model's order into chunk order."""
        return x if self.chunking == "frame" else self._swapped(x, dim, self.frames, self.slots)

    def to_model(self, x: Tensor, dim: int) -> Tensor:
        """Tokens along `dim` from chunk order into the model's."""
        return x if self.chunking == "frame" else self._swapped(x, dim, self.slots, self.frames)

    @staticmethod
    def _swapped(x: Tensor, dim: int, outer: int, inner: int) -> Tensor:
        before, after = x.shape[:dim], x.shape[dim + 1 :]
        swapped = x.reshape(*before, outer, inner, *after).transpose(dim, dim + 1)
        return swapped.reshape(*before, outer * inner, *after)

    @cached_property
    def positions_3T(self) -> Tensor:
        """Frame, row and column of each token, in chunk order."""
        sides = (torch.arange(side) for side in (self.frames, self.height, self.width))
        axes = torch.meshgrid(*sides, indexing="ij")
        return self.to_chunks(torch.stack([axis.flatten() for axis in axes]), dim=1)

    def chunk_frames(self) -> list[tuple[int, int]]:
        """The token frames first:stop that each chunk spans."""
        if self.chunking == "frame":
            return [(frame, frame + 1) for frame in range(self.frames)]
        return [(0, self.frames)] * self.slots

    def chunk_names(self, slot_names: Sequence[str]) -> list[str]:
        """Names of the chunks; `slot_names` are those of the slots and may be empty."""
        if self.chunking == "frame":
            return [f"frame {frame + 1}" for frame in range(self.frames)]
        if slot_names:
            return list(slot_names)
        return [f"place {row + 1}, {column + 1}" for row, column in np.ndindex(self.height, self.width)]
