"""What a cache folder holds before a run, found by the keys of latents and states."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.dataset import (
    INDEX,
    CachedFootage,
    CacheIdentity,
    StoryEntry,
    TrainingStory,
    read_story,
)


class EarlierCache:
    """What a cache folder held before a run; what is damaged counts as missing.

    Raises `FootageError` where it is of another model.
    """

    def __init__(self, folder: Path, identity: CacheIdentity) -> None:
        self._folder = folder
        self._footage: CachedFootage | None = None
        self.entries: dict[str, StoryEntry] = {}
        if (folder / INDEX).exists():
            self._footage = CachedFootage(folder)
            different = identity.difference(self._footage.identity)
            if different is not None:
                raise FootageError(f"{folder} holds a cache of another model: {different}")
            self.entries = {entry.name: entry for entry in self._footage.entries}
        self._latents = {
            shot.latents_key: (entry, at)
            for entry in self.entries.values()
            for at, shot in enumerate(entry.shots)
            if shot.latents_key
        }
        self._states = {
            shot.states_key: (entry, at)
            for entry in self.entries.values()
            for at, shot in enumerate(entry.shots)
            if shot.states_key
        }
        self._styles = {entry.style_key: entry for entry in self.entries.values() if entry.style_key}
        self._last: tuple[StoryEntry, TrainingStory | None] | None = None

    def unconditional(self) -> Tensor | None:
        return None if self._footage is None else self._footage.unconditional_states

    def story(self, entry: StoryEntry) -> TrainingStory | None:
        """A story; None where its file is damaged. The last one read is kept."""
        if self._last is None or self._last[0] is not entry:
            try:
                self._last = entry, read_story(self._folder, entry)
            except FootageError:
                self._last = entry, None
        return self._last[1]

    def latents(self, key: str) -> Tensor | None:
        found = self._latents.get(key)
        story = None if found is None else self.story(found[0])
        return None if found is None or story is None else story.shots[found[1]].latents

    def states(self, key: str) -> Tensor | None:
        if key in self._styles:
            story = self.story(self._styles[key])
            if story is not None:
                return story.style_states
        found = self._states.get(key)
        story = None if found is None else self.story(found[0])
        return None if found is None or story is None else story.shots[found[1]].states
