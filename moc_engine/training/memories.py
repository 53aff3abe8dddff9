"""The memories of clean shots, to which later shots of a training step attend.

Shapes: B stories, N shots, L tokens of a shot (frame by frame), H heads, D head width, K chunks of a shot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Memories:
    """Keys and values of clean shots in story order, (B, H, N, L, D), rotated to their positions.

    `descriptors` (B, H, N, K, D) are mean keys in float32, rotated or not as the pooling says.
    """

    keys: Tensor
    values: Tensor
    descriptors: Tensor
    _by_chunk: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    @property
    def tokens(self) -> int:
        """Tokens of all shots together."""
        return int(self.keys.shape[2] * self.keys.shape[3])

    def by_chunk(self, *, slots: int, chunking: str) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, N · L, D) in the order of their chunks, copied once."""
        if chunking not in self._by_chunk:
            self._by_chunk[chunking] = (
                chunk_by_chunk(self.keys, slots=slots, chunking=chunking),
                chunk_by_chunk(self.values, slots=slots, chunking=chunking),
            )
        return self._by_chunk[chunking]

    def followed_by(self, later: Memories) -> Memories:
        return Memories(
            keys=torch.cat((self.keys, later.keys), dim=2),
            values=torch.cat((self.values, later.values), dim=2),
            descriptors=torch.cat((self.descriptors, later.descriptors), dim=2),
        )

    def repeated(self, times: int) -> Memories:
        """Each entry of the batch so many times, side by side."""
        return Memories(
            keys=self.keys.repeat_interleave(times, dim=0),
            values=self.values.repeat_interleave(times, dim=0),
            descriptors=self.descriptors.repeat_interleave(times, dim=0),
        )

    def before(self, shot: int) -> Memories:
        """Those of earlier shots than this one."""
        return Memories(
            keys=self.keys[:, :, :shot],
            values=self.values[:, :, :shot],
            descriptors=self.descriptors[:, :, :shot],
        )


def chunk_descriptors(keys_BHNLD: Tensor, *, slots: int, chunking: str) -> Tensor:
    """Mean keys (B, H, N, K, D) of each slot of a shot (chunking "track") or of each frame."""
    by_frame = keys_BHNLD.detach().float().unflatten(3, (-1, slots))
    means: Tensor = by_frame.mean(dim=3 if chunking == "track" else 4)
    return means


def chunk_by_chunk(x_BHNLD: Tensor, *, slots: int, chunking: str) -> Tensor:
    """Memory tokens (B, H, N · L, D) in the order of their chunks; they are stored frame by frame."""
    by_frame = x_BHNLD.unflatten(3, (-1, slots))
    ordered: Tensor = (by_frame.transpose(3, 4) if chunking == "track" else by_frame).flatten(2, 4)
    return ordered
