"""The memories of finished takes, kept for later shots on the device, in main memory, or in files.

A take's memory comes from one pass over the take alone, so it depends on nothing else: takes can be moved,
replaced or dropped and every other memory stays exact.

    small context    the memories side by side (History)
    large context    the memories where they are (PagedHistory), not copied
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from pathlib import Path

import torch

from moc_engine.memory.history import History, Timing, history_layout, in_time
from moc_engine.memory.history_buffer import HistoryBuffer, Place
from moc_engine.memory.paged_history import PagedHistory, paged_history
from moc_engine.memory.take_memory import Extent, TakeMemory
from moc_engine.memory.tiers import CPU, Compute, MemoryTiers
from moc_engine.ops.layout import ChunkLayout

_numbers = count()


@dataclass(frozen=True, kw_only=True)
class _Take:
    """A take of the memory. No other one has its `number`."""

    extent: Extent
    number: int


@dataclass(frozen=True, kw_only=True)
class _PlacedTake:
    """A take that is shot `shot` of a history and stands at `place`."""

    take: str
    shot: int
    extent: Extent
    place: Place


class ContextMemory:
    """The finished takes of a story, in story order, held within a number of bytes.

    A memory is computed when it is first asked for. Memories are kept on `device` within `budget` bytes
    (None: no limit), then, where that is not the CPU, in main memory within `host_budget`. Beyond that the
    least recently used takes are given up; when asked for again they are read from files in the folder
    `spill`, or computed again where it is None, to the same values. A render whose context does not fit reads
    from the files; without a folder it holds its context in main memory whatever the budget. A small history
    that is copied side by side comes on top of that. Spilled files go with the memory.
    """

    def __init__(
        self,
        *,
        budget: int | None = None,
        host_budget: int | None = None,
        spill: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._tiers = MemoryTiers(torch.device(device), budget, host_budget, spill)
        self._takes: dict[str, _Take] = {}
        self._token_bytes: float | None = None

    @property
    def takes(self) -> tuple[str, ...]:
        """The takes that can be recalled, in story order."""
        return tuple(self._takes)

    @property
    def bytes(self) -> int:
        """The bytes held, spilled files not counted."""
        return self._tiers.bytes

    def add(self, take: str, extent: Extent, compute: Compute) -> None:
        """Adds a take at the end. `compute` must give the same memory whenever it is called."""
        self._check_new(take)
        self._takes[take] = self._added(take, extent, compute)

    def replace(self, take: str, new: str, extent: Extent, compute: Compute) -> None:
        """Replaces a take by another, at the same position."""
        self._check_known(take)
        if new != take:
            self._check_new(new)
        self._tiers.drop(take)
        added = self._added(new, extent, compute)
        self._takes = dict((new, added) if t == take else (t, known) for t, known in self._takes.items())

    def drop(self, take: str) -> None:
        """Forgets a take."""
        self._check_known(take)
        self._tiers.drop(take)
        del self._takes[take]

    def forget_absent(self, wanted: Collection[str]) -> None:
        """Drops what is neither held within the budget nor `wanted`."""
        for take in [take for take in self._takes if not self._tiers.holds(take)]:
            if take not in wanted:
                self.drop(take)

    def reorder(self, takes: Sequence[str]) -> None:
        """Changes the story order; `takes` names all takes."""
        if sorted(takes) != sorted(self._takes):
            raise ValueError(f"takes: must name each of {sorted(self._takes)} once, got {sorted(takes)}")
        self._takes = {take: self._takes[take] for take in takes}

    def recall(self, take: str) -> TakeMemory:
        """A take's memory: held, read from its file, or computed; always the same values."""
        self._check_known(take)
        return self._tiers.recall(take)

    def history(
        self,
        takes: Sequence[str] | None = None,
        shots: Sequence[int] | None = None,
        timing: Timing | None = None,
    ) -> History | None:
        """The memories of `takes` (all where None) side by side; None where there are none.

        `shots` numbers them for the layout, ascending (0, 1, … where None).
        """
        gathering = self.gather(takes, shots, timing=timing)
        while True:
            try:
                next(gathering)
            except StopIteration as stop:
                history: History | None = stop.value
                return history

    def gather(
        self,
        takes: Sequence[str] | None = None,
        shots: Sequence[int] | None = None,
        buffer: HistoryBuffer | None = None,
        timing: Timing | None = None,
        most_bytes: int | None = None,
    ) -> Generator[str, None, History | PagedHistory | None]:
        """As `history`, one take at a time: yields the name of each take once it is there.

        With a `buffer` the history lies in it, until the next one is gathered there; takes that stand where
        they stood in the one before are left as they are. It is used where memories are kept on the CPU.
        Where keys and values have more than `most_bytes` in full (None: no limit), they are not copied. Other
        takes make room for it, so that one history is used at a time.
        """
        names = tuple(self._takes if takes is None else takes)
        placed = self._arranged(names, range(len(names)) if shots is None else shots)
        if not placed:
            return None
        layout = history_layout([one.extent for one in placed], [one.shot for one in placed])
        timing = timing or Timing()
        if most_bytes is None or self._full_bytes(placed[0], layout.tokens) <= most_bytes:
            return (yield from self._side_by_side(placed, layout, timing, buffer))
        return (yield from self._in_pages(placed, layout, timing))

    def _side_by_side(
        self,
        placed: Sequence[_PlacedTake],
        layout: ChunkLayout,
        timing: Timing,
        buffer: HistoryBuffer | None,
    ) -> Generator[str, None, History]:
        if buffer is None or self._tiers.device.type != "cpu":
            buffer = HistoryBuffer(limit=0)
        buffer.begin([(self._takes[one.take].number, one.place) for one in placed])
        for one in placed:
            number = self._takes[one.take].number
            if buffer.holds(number, one.place):
                self._tiers.mark_used(one.take)
            else:
                memory = self.recall(one.take)
                device = self._history_device(memory, layout)
                buffer.put(number, one.place, memory.in_full(), device)
            yield one.take
        tensors = buffer.end()
        extents = [one.extent for one in placed]
        positions, start_C = in_time(tensors.pop("positions_3T"), extents, layout, timing)
        return History(layout=layout, start_C=start_C, positions_3T=positions, **tensors)

    def _in_pages(
        self,
        placed: Sequence[_PlacedTake],
        layout: ChunkLayout,
        timing: Timing,
    ) -> Generator[str, None, PagedHistory]:
        wanted = {one.take for one in placed}
        memories = []
        for one in placed:
            memories.append(self._tiers.stored(one.take, wanted))
            yield one.take
        return paged_history(memories, [one.extent for one in placed], layout, timing, self._tiers.device)

    def _full_bytes(self, first: _PlacedTake, tokens: int) -> float:
        """The bytes of the keys and values of so many tokens in full."""
        if self._token_bytes is None:
            self._token_bytes = self._tiers.stored(first.take, {first.take}).full_bytes / first.extent.tokens
        return self._token_bytes * tokens

    def _arranged(self, takes: Sequence[str], shots: Sequence[int]) -> list[_PlacedTake]:
        """The takes in order, side by side."""
        if len(shots) != len(takes):
            raise ValueError(f"shots: {len(takes)} takes need as many numbers, got {len(shots)}")
        if any(later <= earlier for earlier, later in pairwise(shots)):
            raise ValueError(f"shots: must ascend, got {list(shots)}")
        unknown = [take for take in takes if take not in self._takes]
        if unknown:
            raise ValueError(f"takes: {unknown[0]!r} is not in the memory")
        token = chunk = 0
        placed = []
        for take, shot in zip(takes, shots, strict=True):
            extent = self._takes[take].extent
            place = Place(tokens=(token, token + extent.tokens), chunks=(chunk, chunk + extent.chunks))
            placed.append(_PlacedTake(take=take, shot=shot, extent=extent, place=place))
            (_, token), (_, chunk) = place.tokens, place.chunks
        return placed

    def _check_known(self, take: str) -> None:
        if take not in self._takes:
            raise ValueError(f"take: {take!r} is not in the memory")

    def _check_new(self, take: str) -> None:
        if take in self._takes:
            raise ValueError(f"take: {take!r} is in the memory already")

    def _added(self, take: str, extent: Extent, compute: Compute) -> _Take:
        self._tiers.add(take, partial(_computed, take, extent, compute))
        return _Take(extent=extent, number=next(_numbers))

    def _history_device(self, like: TakeMemory, layout: ChunkLayout) -> torch.device:
        """That of the memory if its budget could hold all takes of the layout, were they such as `like`."""
        takes = like.bytes / like.k_NHTD.shape[2] * layout.tokens
        return self._tiers.device if self._tiers.fits_device(takes) else CPU


def _computed(take: str, extent: Extent, compute: Compute) -> TakeMemory:
    memory = compute()
    tokens, chunks = memory.k_NHTD.shape[2], memory.means_NHCD.shape[2]
    if (tokens, chunks) != (extent.tokens, extent.chunks):
        raise ValueError(
            f"extent: {take!r} was to have {extent.tokens} tokens in {extent.chunks} chunks, "
            f"got {tokens} in {chunks}"
        )
    return memory
