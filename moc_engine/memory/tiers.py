"""The memories of takes within budgets: on the device, then in main memory, then in files.

    device ─► main memory ─► file, or given up and computed again

The least recently used memories move first. Which takes there are and in what order is `ContextMemory`'s.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final

import torch

from moc_engine.disk_errors import disk_cause, is_disk_full
from moc_engine.errors import EngineError
from moc_engine.memory.spilled import UNREADABLE, SpilledMemory, spill
from moc_engine.memory.take_memory import TakeMemory

Compute = Callable[[], TakeMemory]
"""Computes the memory of a take: the same one whenever it is called."""

CPU: Final = torch.device("cpu")

_numbers = count()


@dataclass(kw_only=True)
class _Entry:
    """A take: `memory` is None while it is not held."""

    compute: Compute
    memory: TakeMemory | None = None
    spilled: SpilledMemory | None = None
    used: int = 0

    @property
    def memory_bytes(self) -> int:
        """The bytes of the memory while it is held."""
        return 0 if self.memory is None else self.memory.bytes


class MemoryTiers:
    """Computes memories when they are first asked for, and keeps them as `ContextMemory` says.

    `device` holds `budget` bytes (None: no limit), main memory `host_budget` where the device is another.
    """

    def __init__(
        self, device: torch.device, budget: int | None, host_budget: int | None, spill: Path | None
    ) -> None:
        for name, number in (("budget", budget), ("host_budget", host_budget)):
            if number is not None and number < 0:
                raise ValueError(f"{name}: must be 0 or more bytes, got {number}")
        self.device = device
        self._tiers = [(device, budget)]
        if device.type != "cpu":
            self._tiers.append((CPU, host_budget))
        self._spill = spill
        self._number = next(_numbers)
        self._entries: dict[str, _Entry] = {}
        self._clock = 0
        self._files: set[Path] = set()
        weakref.finalize(self, _remove, self._files)

    @property
    def bytes(self) -> int:
        """The bytes held, spilled files not counted."""
        return sum(entry.memory_bytes for entry in self._entries.values())

    def fits_device(self, size: float) -> bool:
        """Whether the device's budget is so many bytes or more."""
        budget = self._tiers[0][1]
        return budget is None or size <= budget

    def holds(self, take: str) -> bool:
        """Whether a take's memory is held, on the device or in main memory."""
        return self._entries[take].memory is not None

    def add(self, take: str, compute: Compute) -> None:
        """Adds a take, which must be new. Nothing is computed yet."""
        self._entries[take] = _Entry(compute=compute)

    def drop(self, take: str) -> None:
        """Forgets a take, and removes its file."""
        spilled = self._entries.pop(take).spilled
        if spilled is not None:
            spilled.file.unlink(missing_ok=True)
            self._files.discard(spilled.file)

    def mark_used(self, take: str) -> None:
        """Makes a take the one used last."""
        self._clock += 1
        self._entries[take].used = self._clock

    def recall(self, take: str) -> TakeMemory:
        """A take's memory: held, read from its file, or computed; always the same values."""
        entry = self._entries[take]
        self.mark_used(take)
        if entry.memory is not None:
            return entry.memory
        memory = entry.memory = self._read(entry, self.device) or entry.compute()
        self._make_room()
        return memory

    def stored(self, take: str, wanted: Collection[str]) -> TakeMemory | SpilledMemory:
        """A take's memory where it has its place while all `wanted` ones are needed."""
        entry = self._entries[take]
        self.mark_used(take)
        memory, entry.memory = entry.memory, None
        if memory is None and entry.spilled is not None and entry.spilled.is_whole:
            device = self._room_for(entry.spilled.bytes, wanted)
            if device is None:
                return entry.spilled
            memory = self._read(entry, device)
        if memory is None:
            memory = entry.compute()
        device = self._room_for(memory.bytes, wanted)
        if device is None:
            if self._spill is not None:
                entry.spilled = self._spilled(take, memory)
                return entry.spilled
            self._give_up_others(wanted)
        entry.memory = memory.to(device or CPU, page_locked=self.device.type == "cuda")
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

    def _give_up_others(self, wanted: Collection[str]) -> None:
        """Gives up what is not wanted in main memory, where what is wanted does not fit the budget."""
        for take, entry in self._held(len(self._tiers) - 1):
            if take not in wanted:
                self._give_up(take, entry, len(self._tiers) - 1)

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
                entry.memory = memory.to(device, page_locked=self.device.type == "cuda")
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
            more_room = "free some space there, " if is_disk_full(error) else ""
            raise EngineError(
                f"the memory of a take, {memory.bytes / 1e9:.1f} GB, cannot be written into {self._spill}: "
                f"{disk_cause(error)}; {more_room}remember less of each shot, or give the context more memory"
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


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
