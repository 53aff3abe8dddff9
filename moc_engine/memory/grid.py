"""The tokens of one shot: frames × rows × columns, as the model lays them out and as they are chunked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import Chunking
from moc_engine.memory.context import Extent
from moc_engine.ops.layout import by_frame, by_track


@dataclass(frozen=True, kw_only=True)
class TokenGrid:
    """Tokens of a shot, frame by frame and row by row in the model.

    Chunks are its frames, or its tracks: one place of the picture through all frames. The chunk order puts
    the tokens of a chunk side by side.
    """

    frames: int
    height: int
    width: int
    chunking: Chunking

    @property
    def places(self) -> int:
        """Tokens of one frame."""
        return self.height * self.width

    @property
    def tokens(self) -> int:
        return self.frames * self.places

    @cached_property
    def extent(self) -> Extent:
        if self.chunking == "frame":
            layout = by_frame([self.frames], self.places)
        else:
            layout, _ = by_track([self.frames], self.places)
        return Extent(offsets=layout.offsets, frames=self.frames)

    def to_chunks(self, x: Tensor, dim: int) -> Tensor:
        """Tokens along `dim` from the model's order into chunk order."""
        return x if self.chunking == "frame" else self._swapped(x, dim, self.frames, self.places)

    def to_model(self, x: Tensor, dim: int) -> Tensor:
        """The way back."""
        return x if self.chunking == "frame" else self._swapped(x, dim, self.places, self.frames)

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
        return [(0, self.frames)] * self.places

    def chunk_names(self, places: Sequence[str]) -> list[str]:
        """What to call the chunks; `places` names those of a frame and may be empty."""
        if self.chunking == "frame":
            return [f"frame {frame + 1}" for frame in range(self.frames)]
        if places:
            return list(places)
        return [f"place {row + 1}, {column + 1}" for row, column in np.ndindex(self.height, self.width)]
