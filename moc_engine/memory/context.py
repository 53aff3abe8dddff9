"""The memories of finished takes: keys, values and chunk means per layer, kept for later shots.

A take's memory comes from one pass over the take alone, so it depends on nothing else: takes can be moved,
replaced or dropped and every other memory stays exact. Keys are kept before rotary embedding, since the
position of a take in time is known only when a later shot attends to it.

Shapes: N layers, H heads, T tokens, C chunks, D head width.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from moc_engine.memory.history_buffer import HistoryBuffer, Place
from moc_engine.ops.layout import VIDEO, ChunkLayout, Ints

_TENSORS: Final = ("k_NHTD", "v_NHTD", "means_NHCD", "positions_3T")

_numbers = count()


@dataclass(frozen=True, kw_only=True, eq=False)
class Extent:
    """The size of a take: its tokens, cut into chunks by `offsets` [C + 1], and its token frames."""

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
class TakeMemory:
    """One take: keys before rotary embedding, values and chunk means, its chunks side by side.

    `positions_3T` places each token in time, height and width, time counting from the take's own start.
    The means are of the keys before or after rotary embedding, as the routing's `pooling` says.
    """

    k_NHTD: Tensor
    v_NHTD: Tensor
    means_NHCD: Tensor
    positions_3T: Tensor

    @property
    def bytes(self) -> int:
        return sum(getattr(self, name).nbytes for name in _TENSORS)


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """The memories of a context side by side in story order, as a new shot at time 0 sees them.

    `positions_3T` are before zero: the last take ends at -1. `start_C` is where the take of each chunk
    begins. `layout` holds video chunks alone. The tokens of a head lie
    side by side, but heads may lie further apart.
    """

    layout: ChunkLayout
    k_NHTD: Tensor
    v_NHTD: Tensor
    means_NHCD: Tensor
    positions_3T: Tensor
    start_C: Tensor


Compute = Callable[[], TakeMemory]


@dataclass(kw_only=True)
class _Entry:
    """A take of the memory: `memory` is None while it is not held. No other entry has its `number`."""

    number: int = field(default_factory=lambda: next(_numbers))
    extent: Extent
    compute: Compute
    memory: TakeMemory | None = None
    spilled: bool = False
    used: int = 0


@dataclass(frozen=True, kw_only=True)
class _PlacedTake:
    """A take that is shot `shot` of a history, begins at time `start`, and stands at `place`."""

    take: str
    shot: int
    start: int
    extent: Extent
    place: Place


class ContextMemory:
    """The finished takes of a story, in story order, held within a number of bytes.

    A memory is computed when it is first asked for. Beyond `budget` bytes (None: no limit) the least
    recently used takes are given up; when asked for again they are read from files in the folder `spill`, or
    computed again where it is None, to the same values. Memories are kept on `device`. The budget is for
    what is kept: the history of a render holds its whole context besides, and lies on the CPU where that
    exceeds the budget. Spilled files go with the memory.
    """

    def __init__(
        self,
        *,
        budget: int | None = None,
        spill: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if budget is not None and budget < 0:
            raise ValueError(f"budget: must be 0 or more bytes, got {budget}")
        self._budget = budget
        self._spill = spill
        self._device = torch.device(device)
        self._entries: dict[str, _Entry] = {}
        self._clock = 0
        self._files: set[Path] = set()
        weakref.finalize(self, _remove, self._files)

    @property
    def takes(self) -> tuple[str, ...]:
        """The takes that can be recalled, in story order."""
        return tuple(self._entries)

    @property
    def bytes(self) -> int:
        """The bytes held, spilled files not counted."""
        return sum(entry.memory.bytes for entry in self._entries.values() if entry.memory is not None)

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
        memory = entry.memory = self._read(take, entry) or self._compute(take, entry)
        self._make_room()
        return memory

    def history(
        self, takes: Sequence[str] | None = None, shots: Sequence[int] | None = None
    ) -> History | None:
        """The memories of `takes` (all where None) side by side; None where there are none.

        `shots` numbers them for the layout, ascending (0, 1, … where None).
        """
        gathering = self.gather(takes, shots)
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
    ) -> Generator[str, None, History | None]:
        """As `history`, one take at a time: yields the name of each take once it is copied in.

        With a `buffer` the history lies in it, until the next one is gathered there; takes that stand where
        they stood in the one before are left as they are. It is used where memories are kept on the CPU.
        """
        names = tuple(self._entries if takes is None else takes)
        placed = self._arranged(names, range(len(names)) if shots is None else shots)
        if not placed:
            return None
        lengths = np.concatenate([np.diff(take_at.extent.offsets) for take_at in placed])
        chunks = [take_at.extent.chunks for take_at in placed]
        layout = ChunkLayout(
            np.concatenate(([0], np.cumsum(lengths))),
            np.repeat([take_at.shot for take_at in placed], chunks),
            np.full(len(lengths), VIDEO),
        )
        if buffer is None or self._device.type != "cpu":
            buffer = HistoryBuffer(limit=0)
        buffer.begin([(self._entries[take_at.take].number, take_at.place) for take_at in placed])
        for take_at in placed:
            entry = self._entries[take_at.take]
            if buffer.holds(entry.number, take_at.place):
                self._mark_used(entry)
            else:
                memory = self.recall(take_at.take)
                tensors = {name: getattr(memory, name) for name in _TENSORS}
                buffer.put(entry.number, take_at.place, tensors, self._history_device(memory, layout))
            yield take_at.take
        tensors = buffer.end()
        starts = np.repeat([take_at.start for take_at in placed], chunks)
        tensors["positions_3T"] = _moved(tensors["positions_3T"], np.repeat(starts, lengths))
        return History(layout=layout, start_C=_like(tensors["positions_3T"], starts), **tensors)

    def _arranged(self, takes: Sequence[str], shots: Sequence[int]) -> list[_PlacedTake]:
        """The takes in order, with the time at which each begins."""
        if len(shots) != len(takes):
            raise ValueError(f"shots: {len(takes)} takes need as many numbers, got {len(shots)}")
        if any(later <= earlier for earlier, later in pairwise(shots)):
            raise ValueError(f"shots: must ascend, got {list(shots)}")
        unknown = [take for take in takes if take not in self._entries]
        if unknown:
            raise ValueError(f"takes: {unknown[0]!r} is not in the memory")
        start = -sum(self._entries[take].extent.frames for take in takes)
        token = chunk = 0
        placed = []
        for take, shot in zip(takes, shots, strict=True):
            extent = self._entries[take].extent
            place = Place(tokens=(token, token + extent.tokens), chunks=(chunk, chunk + extent.chunks))
            placed.append(_PlacedTake(take=take, shot=shot, start=start, extent=extent, place=place))
            start += extent.frames
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
        return TakeMemory(**{name: getattr(memory, name).to(self._device) for name in _TENSORS})

    def _make_room(self) -> None:
        """Drops or spills the least recently used memories until the budget holds."""
        if self._budget is None:
            return
        held = [(entry.used, take) for take, entry in self._entries.items() if entry.memory is not None]
        for _, take in sorted(held):
            if self.bytes <= self._budget:
                return
            entry = self._entries[take]
            if self._spill is not None and not entry.spilled:
                assert entry.memory is not None
                self._spill.mkdir(parents=True, exist_ok=True)
                file = self._file(take)
                self._files.add(file)
                save_file({n: getattr(entry.memory, n).contiguous() for n in _TENSORS}, file)
                entry.spilled = True
            entry.memory = None

    def _read(self, take: str, entry: _Entry) -> TakeMemory | None:
        """A spilled take; None where it is not spilled, or its file has vanished or is damaged."""
        if not entry.spilled:
            return None
        try:
            return TakeMemory(**load_file(self._file(take), device=str(self._device)))
        except (OSError, SafetensorError):
            entry.spilled = False
            return None

    def _file(self, take: str) -> Path:
        assert self._spill is not None
        return self._spill / f"{sha256(take.encode()).hexdigest()[:32]}.safetensors"

    def _unlink(self, take: str) -> None:
        if self._entries[take].spilled:
            self._file(take).unlink(missing_ok=True)
            self._files.discard(self._file(take))

    def _mark_used(self, entry: _Entry) -> None:
        self._clock += 1
        entry.used = self._clock

    def _history_device(self, like: TakeMemory, layout: ChunkLayout) -> torch.device:
        """That of the memory if its budget could hold all takes of the layout, were they such as `like`."""
        takes = like.bytes / like.k_NHTD.shape[2] * layout.tokens
        fits = self._budget is None or takes <= self._budget
        return self._device if fits else torch.device("cpu")


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _moved(positions_3T: Tensor, start_T: Ints) -> Tensor:
    """The positions, those in time moved by the start of each token's take."""
    moved = positions_3T.clone(memory_format=torch.contiguous_format)
    moved[0] += _like(moved, start_T)
    return moved


def _like(positions: Tensor, times: Ints) -> Tensor:
    """Times as a tensor of the dtype and on the device of positions."""
    return torch.from_numpy(times).to(positions)
