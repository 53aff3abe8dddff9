"""What a cache folder holds before a run, found by the keys of latents and states."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from torch import Tensor

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cache_index import INDEX, CacheIdentity, StoryEntry, index_of
from moc_engine.training.data.footage.dataset import TrainingStory, read_story, read_unconditional


class EarlierCache:
    """What a cache folder held before a run; what is damaged counts as missing.

    Raises `FootageError` where it is of another model, or its index is damaged.
    """

    def __init__(self, folder: Path, identity: CacheIdentity) -> None:
        self._folder = folder
        self._unconditional: Tensor | None = None
        self.entries: dict[str, StoryEntry] = {}
        if (folder / INDEX).exists():
            index = index_of(folder, identity)
            self.entries = dict(index.stories)
            with suppress(FootageError):
                self._unconditional = read_unconditional(folder, index)
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
        """The states of the empty caption."""
        return self._unconditional

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
