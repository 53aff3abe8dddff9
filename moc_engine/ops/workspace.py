"""Memory that one render after another computes in: a CPU takes longer to get new memory than to fill it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

GROWTH: Final = 1.5
"""How much more than asked for is allocated where a kept tensor has become too small."""


class Workspace:
    """Keeps the memory of tensors by name, at most `limit` bytes.

    What does not fit in, and what is on another device than the CPU, is allocated anew.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[str, Tensor] = {}

    @property
    def bytes(self) -> int:
        """The bytes kept."""
        return sum(kept.nbytes for kept in self._kept.values())

    def empty(
        self, name: str, shape: Sequence[int], dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> Tensor:
        """A contiguous tensor with any content; it takes the place of the one before of the same name."""
        wanted = math.prod(shape) * dtype.itemsize
        if torch.device(device).type != "cpu":
            return torch.empty(tuple(shape), dtype=dtype, device=device)
        kept = self._kept.get(name)
        if kept is None or kept.nbytes < wanted:
            self._kept.pop(name, None)
            room = self._limit - self.bytes
            if wanted > room:
                return torch.empty(tuple(shape), dtype=dtype)
            kept = self._kept[name] = torch.empty(min(int(wanted * GROWTH) + 64, room), dtype=torch.uint8)
        return kept[:wanted].view(dtype).view(tuple(shape))
