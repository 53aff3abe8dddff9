"""Which stories and shots each step trains on: a pure function of seed and step, so that runs can be resumed.

Every epoch goes through all stories in a random order. An item is the nth story of the run; which process
takes it does not matter for what it is. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
        self._fewest, self._most = shots
        self._seed = seed
        self._epoch = lru_cache(maxsize=4)(self._permutation)

    def step(self, step: int, size: int) -> list[Item]:
        """The items of a step that takes `size` of them, of all processes together.

        They have equally many shots as far as their stories are so long.
        """
        shots = int(np.random.default_rng((self._seed, 1, step)).integers(self._fewest, self._most + 1))
        return [self._item(step * size + at, shots) for at in range(size)]

    def _item(self, number: int, shots: int) -> Item:
        epoch, at = divmod(number, len(self._entries))
        story = int(self._epoch(epoch)[at])
        there = len(self._entries[story].shots)
        shots = min(there, shots)
        first = int(np.random.default_rng((self._seed, 4, number)).integers(0, there - shots + 1))
        return Item(number=number, story=story, first=first, shots=shots)

    def shapes(self, item: Item) -> list[tuple[int, int, int, int]]:
        """The latents (C, F, H, W) of the item's shots."""
        shots = self._entries[item.story].shots[item.first : item.first + item.shots]
        return [shot.shape for shot in shots]

    def _permutation(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.random.default_rng((self._seed, 0, epoch)).permutation(len(self._entries))


def split_held_out(stories: int, held_out: int, seed: int) -> tuple[list[int], list[int]]:
    """The indices of stories to train on, and of those that are held out, at most all but one."""
    held_out = min(held_out, stories - 1)
    order = np.random.default_rng((seed, 2)).permutation(stories)
    held = {int(at) for at in order[stories - held_out :]}
    return [at for at in range(stories) if at not in held], sorted(held)
