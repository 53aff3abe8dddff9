"""The stories of a run: which are trained on in each step, and which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cache_index import StoryEntry
from moc_engine.training.data.footage.dataset import CachedFootage, TrainingStory
from moc_engine.training.tuning.batch import window
from moc_engine.training.tuning.order import Item, StoryOrder, split_held_out
from moc_engine.training.tuning.recipe import TuningRecipe

KEPT_BYTES: Final = 2 << 30
"""Of stories that stay in memory after they were read."""


@dataclass(frozen=True, kw_only=True)
class Alike:
    """Items of a step whose stories can be one batch, and the share of the step's items that they are."""

    items: tuple[Item, ...]
    share: float


class RecentStories:
    """The stories of a cache that were read last stay in memory, up to so many bytes."""

    def __init__(self, footage: Sequence[TrainingStory], most_bytes: int) -> None:
        self._footage = footage
        self._left = most_bytes
        self._kept: dict[int, TrainingStory] = {}

    def __getitem__(self, at: int) -> TrainingStory:
        story = self._kept.pop(at, None)
        if story is None:
            story = self._footage[at]
            self._left -= story_bytes(story)
        self._kept[at] = story  # as the latest
        while self._left < 0:
            oldest = next(iter(self._kept))
            self._left += story_bytes(self._kept.pop(oldest))
        return story


def story_bytes(story: TrainingStory) -> int:
    """The bytes of the tensors of a story."""
    tensors = [story.style_states]
    for shot in story.shots:
        tensors += [shot.latents, shot.states, shot.emphasis, shot.identities]
    return sum(x.numel() * x.element_size() for x in tensors if x is not None)


class TuningStories:
    """The stories of a cache, `held_out` of those that the recipe ends with set aside.

    Raises `FootageError` for a cache without stories, or without those of a stage.
    """

    def __init__(self, footage: CachedFootage, recipe: TuningRecipe, held_out: int) -> None:
        if not len(footage):
            raise FootageError(f"{footage.folder} has no stories")
        self._footage = footage
        self._recipe = recipe
        ending = recipe.stages[-1].stories
        last = [at for at, entry in enumerate(footage.entries) if entry.name.startswith(ending)]
        held = [last[at] for at in split_held_out(len(last), held_out, recipe.seed)[1]]
        training = sorted(set(range(len(footage))) - set(held))
        self._numbers = training
        self.entries: tuple[StoryEntry, ...] = tuple(footage.entries[at] for at in training)
        if all(len(entry.shots) < 2 for entry in self.entries):
            raise FootageError(
                f"{footage.folder}: no story has two shots, without which there is nothing to remember"
            )
        for stage in recipe.stages:
            if not any(entry.name.startswith(stage.stories) for entry in self.entries):
                raise FootageError(
                    f"{footage.folder}: a stage of the recipe has stories whose names begin with "
                    f"{stage.stories!r}, and there is none to train on"
                )
        self._held_out = held
        self._order = StoryOrder(self.entries, shots=recipe.shots, seed=recipe.seed)
        self._read = RecentStories(footage, KEPT_BYTES)

    @cached_property
    def held_out(self) -> tuple[TrainingStory, ...]:
        """The stories that are not trained on."""
        return tuple(self._footage[at] for at in self._held_out)

    @cached_property
    def digest(self) -> str:
        """A digest of the content of all stories, in order."""
        content = "\n".join(entry.digest for entry in self._footage.entries)
        return hashlib.sha256(content.encode()).hexdigest()

    def items(self, step: int, processes: int) -> list[Item]:
        """The items of a step, of all processes."""
        stage = self._recipe.stage(step)
        size = self._recipe.batch * self._recipe.accumulation * processes
        return self._order.step(step, size, shots=stage.shots, stories=stage.stories)

    def alike(self, items: Sequence[Item]) -> Iterator[Alike]:
        """The items in groups of equally many shots of one size, as one batch needs them."""
        groups: dict[tuple[int, ...], list[Item]] = {}
        for item in items:
            channels, _, height, width = self.shapes(item)[0]
            groups.setdefault((item.shots, channels, height, width), []).append(item)
        for group in groups.values():
            yield Alike(items=tuple(group), share=len(group) / len(items))

    def shapes(self, item: Item) -> list[tuple[int, int, int, int]]:
        """The latents (C, F, H, W) of an item's shots."""
        return self._order.shapes(item)

    def story(self, item: Item) -> TrainingStory:
        """The shots of an item. Raises `FootageError` for a story that cannot be read."""
        return window(self._read[self._numbers[item.story]], item.first, item.shots)
