"""Which stories and shots each step trains on: a pure function of seed and step, so that runs can be resumed.

Every epoch goes through all stories of a stage in a random order. An item is the nth story of the run; which
process takes it does not matter for what it is. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from moc_engine.training.data.footage.cache_index import StoryEntry


@dataclass(frozen=True, kw_only=True)
class Item:
    """One story of a step: `number` counts all items of the run, `first` is its first shot that is used."""

    number: int
    story: int
    first: int
    shots: int


class StoryOrder:
    """The items of a run over these stories, of as many shots each as drawn within `shots`."""

    def __init__(self, entries: Sequence[StoryEntry], *, shots: tuple[int, int], seed: int) -> None:
        self._entries = entries
        self._shots = shots
        self._seed = seed
        self._epoch = lru_cache(maxsize=4)(self._permutation)
        self._named = cache(self._beginning_with)

    def step(
        self, step: int, size: int, *, shots: tuple[int, int] | None = None, stories: str = ""
    ) -> list[Item]:
        """The items of a step that takes `size` of them, of all processes together.

        They have equally many shots as far as their stories are so long, drawn within `shots` where that is
        given, and are of the stories whose names begin with `stories`.
        """
        fewest, most = shots or self._shots
        count = int(np.random.default_rng((self._seed, 1, step)).integers(fewest, most + 1))
        return [self._item(step * size + at, count, self._named(stories)) for at in range(size)]

    def _beginning_with(self, name: str) -> list[int]:
        return [at for at, entry in enumerate(self._entries) if entry.name.startswith(name)]

    def _item(self, number: int, shots: int, among: Sequence[int]) -> Item:
        epoch, at = divmod(number, len(among))
        story = among[int(self._epoch(epoch, len(among))[at])]
        there = len(self._entries[story].shots)
        shots = min(there, shots)
        first = int(np.random.default_rng((self._seed, 4, number)).integers(0, there - shots + 1))
        return Item(number=number, story=story, first=first, shots=shots)

    def shapes(self, item: Item) -> list[tuple[int, int, int, int]]:
        """The latents (C, F, H, W) of the item's shots."""
        shots = self._entries[item.story].shots[item.first : item.first + item.shots]
        return [shot.shape for shot in shots]

    def _permutation(self, epoch: int, stories: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.random.default_rng((self._seed, 0, epoch)).permutation(stories)


def split_held_out(stories: int, held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """The indices of stories to train on, and of those that are held out, at most all but one."""
    held_out = min(held_out, stories - 1)
    order = np.random.default_rng((seed, 2)).permutation(stories)
    held = {int(at) for at in order[stories - held_out :]}
    return [at for at in range(stories) if at not in held], sorted(held)
