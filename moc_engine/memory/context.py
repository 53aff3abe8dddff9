"""The memories of finished takes, kept for later shots on the device, in main memory, or in files.

A take's memory comes from one pass over the take alone, so it depends on nothing else: takes can be moved,
replaced or dropped and every other memory stays exact.

    small context    the memories side by side (History)
    large context    the memories where they are (PagedHistory), not copied
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Final

import torch

from moc_engine.errors import EngineError
from moc_engine.memory.history import History, Timing, history_layout, in_time
from moc_engine.memory.history_buffer import HistoryBuffer, Place
from moc_engine.memory.paged_history import PagedHistory, paged_history
from moc_engine.memory.spilled import UNREADABLE, SpilledMemory, spill
from moc_engine.memory.take_memory import Extent, TakeMemory
from moc_engine.ops.layout import ChunkLayout

_numbers = count()


Compute = Callable[[], TakeMemory]

CPU: Final = torch.device("cpu")


@dataclass(kw_only=True)
class _Entry:
    """A take of the memory: `memory` is None while it is not held. No other entry has its `number`."""

    number: int = field(default_factory=lambda: next(_numbers))
    extent: Extent
    compute: Compute
    memory: TakeMemory | None = None
    spilled: SpilledMemory | None = None
    used: int = 0

    @property
    def memory_bytes(self) -> int:
        """The bytes of the memory while it is held."""
        return 0 if self.memory is None else self.memory.bytes


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
        for name, number in (("budget", budget), ("host_budget", host_budget)):
            if number is not None and number < 0:
                raise ValueError(f"{name}: must be 0 or more bytes, got {number}")
        self._device = torch.device(device)
        self._tiers = [(self._device, budget)]
        if self._device.type != "cpu":
            self._tiers.append((CPU, host_budget))
        self._spill = spill
        self._number = next(_numbers)
        self._entries: dict[str, _Entry] = {}
        self._clock = 0
        self._token_bytes: float | None = None
        self._files: set[Path] = set()
        weakref.finalize(self, _remove, self._files)

    @property
    def takes(self) -> tuple[str, ...]:
        """The takes that can be recalled, in story order."""
        return tuple(self._entries)

    @property
    def bytes(self) -> int:
        """The bytes held, spilled files not counted."""
        return sum(entry.memory_bytes for entry in self._entries.values())

    def add(self, take: str, extent: Extent, compute: Compute) -> None:
        """Adds a take at the end. `compute` must give the same memory whenever it is called."""
        self._check_new(take)
        self._entries[take] = _Entry(extent=extent, compute=compute)

    def replace(self, take: str, new: str, extent: Extent, compute: Compute) -> None:
        """Replaces a take by another, at the same position."""
        self._entry(take)
        if new != take:
            self._check_new(new)
        self._unlink(take)
        entries = [
            (new, _Entry(extent=extent, compute=compute)) if t == take else (t, e)
            for t, e in self._entries.items()
        ]
        self._entries = dict(entries)

    def drop(self, take: str) -> None:
        """Forgets a take."""
        self._entry(take)
        self._unlink(take)
        del self._entries[take]

    def forget_absent(self, wanted: Collection[str]) -> None:
        """Drops what is neither held within the budget nor `wanted`."""
        for take in [take for take, entry in self._entries.items() if entry.memory is None]:
            if take not in wanted:
                self.drop(take)

    def reorder(self, takes: Sequence[str]) -> None:
        """Changes the story order; `takes` names all takes."""
        if sorted(takes) != sorted(self._entries):
            raise ValueError(f"takes: must name each of {sorted(self._entries)} once, got {sorted(takes)}")
        self._entries = {take: self._entries[take] for take in takes}

    def recall(self, take: str) -> TakeMemory:
        """A take's memory: held, read from its file, or computed; always the same values."""
        entry = self._entry(take)
        self._mark_used(entry)
        if entry.memory is not None:
            return entry.memory
        memory = entry.memory = self._read(entry, self._device) or self._compute(take, entry)
        self._make_room()
        return memory

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
        beside: Collection[str] = (),
    ) -> Generator[str, None, History | PagedHistory | None]:
        """As `history`, one take at a time: yields the name of each take once it is there.

        With a `buffer` the history lies in it, until the next one is gathered there; takes that stand where
        they stood in the one before are left as they are. It is used where memories are kept on the CPU.
        Where keys and values have more than `most_bytes` in full (None: no limit), they are not copied. Takes
        of other histories that are used at the same time, `beside` this one, do not make room for it.
        """
        names = tuple(self._entries if takes is None else takes)
        placed = self._arranged(names, range(len(names)) if shots is None else shots)
        if not placed:
            return None
        layout = history_layout([one.extent for one in placed], [one.shot for one in placed])
        timing = timing or Timing()
        if most_bytes is None or self._full_bytes(placed[0], layout.tokens) <= most_bytes:
            return (yield from self._side_by_side(placed, layout, timing, buffer))
        return (yield from self._in_pages(placed, layout, timing, beside))

    def _side_by_side(
        self,
        placed: Sequence[_PlacedTake],
        layout: ChunkLayout,
        timing: Timing,
        buffer: HistoryBuffer | None,
    ) -> Generator[str, None, History]:
        if buffer is None or self._device.type != "cpu":
            buffer = HistoryBuffer(limit=0)
        buffer.begin([(self._entries[one.take].number, one.place) for one in placed])
        for one in placed:
            entry = self._entries[one.take]
            if buffer.holds(entry.number, one.place):
                self._mark_used(entry)
            else:
                memory = self.recall(one.take)
                device = self._history_device(memory, layout)
                buffer.put(entry.number, one.place, memory.in_full(), device)
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
        beside: Collection[str],
    ) -> Generator[str, None, PagedHistory]:
        wanted = {one.take for one in placed} | set(beside)
        memories = []
        for one in placed:
            memories.append(self._stored(one.take, wanted))
            yield one.take
        return paged_history(memories, [one.extent for one in placed], layout, timing, self._device)

    def _full_bytes(self, first: _PlacedTake, tokens: int) -> float:
        """The bytes of the keys and values of so many tokens in full."""
        if self._token_bytes is None:
            self._stored(first.take, {first.take})
        assert self._token_bytes is not None
        return self._token_bytes * tokens

    def _arranged(self, takes: Sequence[str], shots: Sequence[int]) -> list[_PlacedTake]:
        """The takes in order, side by side."""
        if len(shots) != len(takes):
            raise ValueError(f"shots: {len(takes)} takes need as many numbers, got {len(shots)}")
        if any(later <= earlier for earlier, later in pairwise(shots)):
            raise ValueError(f"shots: must ascend, got {list(shots)}")
        unknown = [take for take in takes if take not in self._entries]
        if unknown:
            raise ValueError(f"takes: {unknown[0]!r} is not in the memory")
        token = chunk = 0
        placed = []
        for take, shot in zip(takes, shots, strict=True):
            extent = self._entries[take].extent
            place = Place(tokens=(token, token + extent.tokens), chunks=(chunk, chunk + extent.chunks))
            placed.append(_PlacedTake(take=take, shot=shot, extent=extent, place=place))
            (_, token), (_, chunk) = place.tokens, place.chunks
        return placed

    def _entry(self, take: str) -> _Entry:
        entry = self._entries.get(take)
        if entry is None:
            raise ValueError(f"take: {take!r} is not in the memory")
        return entry

    def _check_new(self, take: str) -> None:
        if take in self._entries:
            raise ValueError(f"take: {take!r} is in the memory already")

    def _compute(self, take: str, entry: _Entry) -> TakeMemory:
        memory = entry.compute()
        tokens, chunks = memory.k_NHTD.shape[2], memory.means_NHCD.shape[2]
        if (tokens, chunks) != (entry.extent.tokens, entry.extent.chunks):
            raise ValueError(
                f"extent: {take!r} was to have {entry.extent.tokens} tokens in {entry.extent.chunks} chunks, "
                f"got {tokens} in {chunks}"
            )
        self._token_bytes = memory.full_bytes / tokens
        return memory

    def _stored(self, take: str, wanted: Collection[str]) -> TakeMemory | SpilledMemory:
        """A take's memory where it has its place while all `wanted` ones are needed."""
        entry = self._entry(take)
        self._mark_used(entry)
        memory, entry.memory = entry.memory, None
        if memory is None and entry.spilled is not None and entry.spilled.is_whole:
            device = self._room_for(entry.spilled.bytes, wanted)
            if device is None:
                return entry.spilled
            memory = self._read(entry, device)
        if memory is None:
            memory = self._compute(take, entry)
        device = self._room_for(memory.bytes, wanted)
        if device is None and self._spill is not None:
            entry.spilled = self._spilled(take, memory)
            return entry.spilled
        entry.memory = memory.to(device or CPU, page_locked=self._device.type == "cuda")
        return entry.memory

    def _room_for(self, size: int, wanted: Collection[str]) -> torch.device | None:
        """The first device that has room for so many bytes beside what is wanted, once that is made."""
        for tier, (device, budget) in enumerate(self._tiers):
            if budget is None:
                return device
            held = self._held(tier)
            if sum(entry.memory_bytes for take, entry in held if take in wanted) + size > budget:
                continue
            for take, entry in held:
                if self._tier_bytes(tier) + size > budget and take not in wanted:
                    self._give_up(take, entry, tier)
            return device
        return None

    def _make_room(self) -> None:
        """Moves, spills or drops the least recently used memories until the budgets hold."""
        for tier, (_, budget) in enumerate(self._tiers):
            for take, entry in self._held(tier):
                if budget is not None and self._tier_bytes(tier) > budget:
                    self._give_up(take, entry, tier)

    def _held(self, tier: int) -> list[tuple[str, _Entry]]:
        """What lies on a device, the least recently used first."""
        device = self._tiers[tier][0]
        held = [
            (take, entry)
            for take, entry in self._entries.items()
            if entry.memory is not None and entry.memory.device.type == device.type
        ]
        return sorted(held, key=lambda one: one[1].used)

    def _tier_bytes(self, tier: int) -> int:
        return sum(entry.memory_bytes for _, entry in self._held(tier))

    def _give_up(self, take: str, entry: _Entry, tier: int) -> None:
        """Moves a memory to the next device; from the last one into its file, or nowhere."""
        memory, entry.memory = entry.memory, None
        assert memory is not None
        if tier + 1 < len(self._tiers):
            device, budget = self._tiers[tier + 1]
            if budget is None or memory.bytes <= budget:
                entry.memory = memory.to(device, page_locked=self._device.type == "cuda")
                self._make_room()
                return
        if self._spill is not None and entry.spilled is None:
            entry.spilled = self._spilled(take, memory)

    def _spilled(self, take: str, memory: TakeMemory) -> SpilledMemory:
        assert self._spill is not None
        name = sha256(take.encode()).hexdigest()[:32]
        file = self._spill / f"{name}-{self._number}.safetensors"
        try:
            self._spill.mkdir(parents=True, exist_ok=True)
            self._files.add(file)
            return spill(memory, file)
        except UNREADABLE as error:
            self._files.discard(file)
            with suppress(OSError):
                file.unlink()
            raise EngineError(
                f"the memory of a take, {memory.bytes / 1e9:.1f} GB, cannot be written into {self._spill}: "
                f"{error}; remember less of each shot, or give the context more memory"
            ) from error

    def _read(self, entry: _Entry, device: torch.device) -> TakeMemory | None:
        """A spilled take; None where it is not spilled, or its file has vanished or is damaged."""
        if entry.spilled is None:
            return None
        try:
            return entry.spilled.load(device)
        except UNREADABLE:
            entry.spilled = None
            return None

    def _unlink(self, take: str) -> None:
        spilled = self._entries[take].spilled
        if spilled is not None:
            spilled.file.unlink(missing_ok=True)
            self._files.discard(spilled.file)

    def _mark_used(self, entry: _Entry) -> None:
        self._clock += 1
        entry.used = self._clock

    def _history_device(self, like: TakeMemory, layout: ChunkLayout) -> torch.device:
        """That of the memory if its budget could hold all takes of the layout, were they such as `like`."""
        takes = like.bytes / like.k_NHTD.shape[2] * layout.tokens
        budget = self._tiers[0][1]
        return self._device if budget is None or takes <= budget else CPU


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
