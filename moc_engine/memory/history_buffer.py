"""Memory for one history after another: takes that stay where they were are not copied again.

Consecutive renders attend to nearly the same takes: the next shot's history is the last one's with one take
more. Keys and values lie in tensors with room for further tokens, so a history is a view of their beginning
and a longer one begins with the same bytes.

Shapes: N layers, H heads, T tokens, C chunks, D head width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from moc_engine.memory.budget import HISTORY_LIMIT

GROWTH: Final = 1.5
"""How much more room than asked for is allocated where a kept buffer has become too small."""

TOKEN_AXIS: Final = {"k_NHTD": 2, "v_NHTD": 2, "positions_3T": 1}
"""The tensors of a memory with an axis of tokens, and which one it is."""

CHUNK_AXIS: Final = {"means_NHCD": 2}
"""The tensors of a memory with an axis of chunks, and which one it is."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The tokens and the chunks start:stop of a history."""

    tokens: tuple[int, int]
    chunks: tuple[int, int]

    @property
    def slices(self) -> dict[str, tuple[int, int, int]]:
        """The axis, start and stop of this part of each tensor."""
        of_tokens = {name: (axis, *self.tokens) for name, axis in TOKEN_AXIS.items()}
        return of_tokens | {name: (axis, *self.chunks) for name, axis in CHUNK_AXIS.items()}


class HistoryBuffer:
    """Keeps the tensors of a history for the next one, where they have at most `limit` bytes."""

    def __init__(self, limit: int = HISTORY_LIMIT) -> None:
        self._limit = limit
        self._tensors: dict[str, Tensor] = {}
        self._held: set[tuple[int, Place]] = set()
        self._whole = Place(tokens=(0, 0), chunks=(0, 0))

    @property
    def bytes(self) -> int:
        """The bytes kept."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    def begin(self, places: Sequence[tuple[int, Place]]) -> None:
        """Begins a history of memories by number, each at its place, which ascend without gaps.

        Memories that differ must have different numbers.
        """
        last = places[-1][1]
        self._whole = Place(tokens=(0, last.tokens[1]), chunks=(0, last.chunks[1]))
        if any(self._tensors[name].shape[axis] < stop for name, (axis, _, stop) in self._parts()):
            self.clear()
        self._held &= set(places)

    def holds(self, number: int, place: Place) -> bool:
        """Whether a memory is at its place already."""
        return (number, place) in self._held

    def put(
        self, number: int, place: Place, tensors: Mapping[str, Tensor], device: torch.device | None = None
    ) -> None:
        """Copies a memory into its place in the history that has begun.

        All memories of a history must have the same dtypes, and the same shapes but for tokens and chunks.
        New tensors are on `device` (that of the memory where None).
        """
        if not self._are_like(tensors):
            self._allocate(tensors, device)
        for name, (axis, start, stop) in place.slices.items():
            self._tensors[name].narrow(axis, start, stop - start).copy_(tensors[name])
        self._held.add((number, place))

    def end(self) -> dict[str, Tensor]:
        """Views of the whole history, by name. They hold it until the next one begins."""
        views = {
            name: self._tensors[name].narrow(axis, start, stop - start)
            for name, (axis, start, stop) in self._parts()
        }
        if self.bytes > self._limit:
            self.clear()
        return views

    def clear(self) -> None:
        """Keeps nothing."""
        self._tensors, self._held = {}, set()

    def _parts(self) -> list[tuple[str, tuple[int, int, int]]]:
        return list(self._whole.slices.items()) if self._tensors else []

    def _are_like(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether memories such as `tensors` can be copied into what is kept."""
        return bool(self._tensors) and all(
            self._tensors[name].dtype == tensors[name].dtype
            and self._tensors[name].movedim(axis, 0).shape[1:] == tensors[name].movedim(axis, 0).shape[1:]
            for name, (axis, _, _) in self._parts()
        )

    def _allocate(self, like: Mapping[str, Tensor], device: torch.device | None) -> None:
        """New tensors for the history that has begun, with room to grow where the limit allows."""
        for growth in (GROWTH, 1.0):
            shapes = {}
            for name, (axis, _, stop) in self._whole.slices.items():
                shapes[name] = list(like[name].shape)
                shapes[name][axis] = int(stop * growth)
            size = sum(torch.Size(shape).numel() * like[name].itemsize for name, shape in shapes.items())
            if size <= self._limit:
                break
        self.clear()
        self._tensors = {name: like[name].new_empty(shape, device=device) for name, shape in shapes.items()}
