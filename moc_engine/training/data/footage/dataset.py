"""A folder of stories ready for training: latents of shots and states of captions, made by one model.

    FOLDER/index.json                   what made it, and of each story: its file, digest, captions, sizes
    FOLDER/unconditional.safetensors    the states of the empty caption
    FOLDER/stories/DIGEST.safetensors   one story: the latents and caption states of its shots

A file of a story is named by its content and the index is replaced as a whole, so that a writer that is
killed leaves the stories of the last index, each whole.

Shapes: C channels, F latent frames, H and W latent sides, T text states, D width of the states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self, overload

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from moc_engine.errors import FootageError
from moc_engine.files import atomic_file, listed, remove_abandoned
from moc_engine.training.data.footage.cache_index import (
    AGAIN,
    INDEX,
    CacheIdentity,
    CacheIndex,
    ShotEntry,
    StoryEntry,
    index_of,
    read_index,
    write_index,
)

UNCONDITIONAL: Final = "unconditional.safetensors"
STORIES: Final = "stories"


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingShot:
    """One shot: `latents` (C, F, H, W) on the denoiser's own scale, `states` (T, D) without padding.

    `seconds` is how long the frames are shown that the latents stand for. `emphasis` (F, H, W) within 0–1
    says where errors count for more, as far as the recipe has it; None: nowhere. `identities` (F, H, W) say
    who is where, by whole numbers from 1 on that mean the same in all stories, and 0 for nobody.
    """

    latents: Tensor
    states: Tensor
    caption: str
    seconds: float
    emphasis: Tensor | None = None
    identities: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingStory:
    """Shots in order, of one size; `style_states` (T, D) are those of the global caption `style`, if any.

    Raises `ValueError` for a story without shots, or of shots whose shapes differ in more than their length.
    """

    name: str
    style_states: Tensor | None
    shots: tuple[TrainingShot, ...]
    style: str = ""

    def __post_init__(self) -> None:
        if not self.shots:
            raise ValueError(f"shots: {self.name} has none")
        for number, shot in enumerate(self.shots, start=1):
            if shot.latents.ndim != 4 or shot.states.ndim != 2:
                raise ValueError(
                    f"shots: latents of {self.name}, shot {number} must be (C, F, H, W) and states (T, D)"
                )
            for name, places in (("emphasis", shot.emphasis), ("identities", shot.identities)):
                if places is not None and places.shape != shot.latents.shape[1:]:
                    raise ValueError(
                        f"shots: {name} of {self.name}, shot {number} must be of the size of its latents"
                    )
        first = self.shots[0]
        states = [shot.states for shot in self.shots]
        if self.style_states is not None:
            states.append(self.style_states)
        if any(_side(shot.latents) != _side(first.latents) for shot in self.shots):
            raise ValueError(f"shots: those of {self.name} differ in size")
        if any(found.ndim != 2 or found.shape[1] != first.states.shape[1] for found in states):
            raise ValueError(f"shots: caption states of {self.name} differ in width")


def _side(latents_CFHW: Tensor) -> tuple[int, int, int]:
    channels, _, height, width = latents_CFHW.shape
    return channels, height, width


class CachedFootage(Sequence[TrainingStory]):
    """The stories of a cache folder, each read and checked when it is asked for.

    `entries` tells of each story what can be known without reading it. Raises `FootageError` for a folder
    that is no cache, is damaged or of a newer version, and for a story whose file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = read_index(folder)
        self.identity: CacheIdentity = index.identity
        self.entries: tuple[StoryEntry, ...] = tuple(index.stories.values())
        self.unconditional_states: Tensor = read_unconditional(folder, index)
        """The states (T, D) of the empty caption."""

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, at: int) -> TrainingStory: ...
    @overload
    def __getitem__(self, at: slice) -> list[TrainingStory]: ...
    def __getitem__(self, at: int | slice) -> TrainingStory | list[TrainingStory]:
        if isinstance(at, slice):
            return [read_story(self.folder, entry) for entry in self.entries[at]]
        return read_story(self.folder, self.entries[at])

    def damaged(self) -> Iterator[tuple[str, str]]:
        """The name of each story that cannot be read, and why. Reads every file."""
        for entry in self.entries:
            try:
                read_story(self.folder, entry)
            except FootageError as error:
                yield entry.name, str(error)


class CacheWriter:
    """Adds stories to a cache folder; one of the same name is replaced. A context manager, one at a time.

    The folder is made where there is none. The index is written after every `every` stories and at the end,
    also after an error: what was added is kept; of a writer that was killed, what the index names. Files of
    stories that are replaced stay until the end. Raises `FootageError` where the folder holds a cache of
    another identity, and `OSError` where it cannot be written.
    """

    def __init__(
        self, folder: Path, identity: CacheIdentity, unconditional_states: Tensor, *, every: int = 20
    ) -> None:
        self._folder = folder
        self._every = every
        self._unsaved = 0
        data = save({"states": unconditional_states.contiguous().cpu()})
        self._index = CacheIndex(identity=identity, unconditional=_digest(data), stories={})
        if (folder / INDEX).exists():
            self._index = replace(self._index, stories=index_of(folder, identity).stories)
        self._stories: dict[str, StoryEntry] = dict(self._index.stories)
        self._unconditional = data

    @property
    def stories(self) -> Mapping[str, StoryEntry]:
        """The stories so far, by name."""
        return self._stories

    def __enter__(self) -> Self:
        (self._folder / STORIES).mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, self._folder / STORIES):
            remove_abandoned(folder)
        self._remove_unnamed()
        _write(self._folder / UNCONDITIONAL, self._unconditional)
        self._save()
        return self

    def add(
        self,
        story: TrainingStory,
        *,
        keys: Sequence[tuple[str, str]] = (),
        style_key: str = "",
        source: str = "",
    ) -> StoryEntry:
        """Writes a story; `keys` are those of each shot's latents and states, for `ShotEntry`."""
        data = save(_tensors(story))
        digest = _digest(data)
        entry = _entry(story, digest, keys or [("", "")] * len(story.shots))
        entry = replace(entry, style_key=style_key, source=source)
        _write(self._folder / STORIES / entry.file, data)
        self._stories[story.name] = entry
        self._unsaved += 1
        if self._unsaved >= self._every:
            self._save()
        return entry

    def keep_only(self, names: Sequence[str]) -> None:
        """Removes the other stories, and puts these in order."""
        self._stories = {name: self._stories[name] for name in names if name in self._stories}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._save()
        self._remove_unnamed()

    def _save(self) -> None:
        self._index = replace(self._index, stories=dict(self._stories))
        write_index(self._folder, self._index)
        self._unsaved = 0

    def _remove_unnamed(self) -> None:
        named = {entry.file for entry in self._stories.values()}
        for file in listed(self._folder / STORIES):
            if file.name not in named:
                file.unlink()


def write_story(folder: Path, story: TrainingStory) -> None:
    """Adds one story to a cache that exists, or replaces the one of its name. Many: `CacheWriter`.

    Raises `FootageError` where there is no cache, `OSError` where it cannot be written.
    """
    index = read_index(folder)
    with CacheWriter(folder, index.identity, read_unconditional(folder, index)) as cache:
        cache.add(story)


def read_unconditional(folder: Path, index: CacheIndex) -> Tensor:
    """The states of the empty caption. Raises `FootageError` where the file is missing or damaged."""
    return _checked(folder / UNCONDITIONAL, index.unconditional)["states"]


def read_story(folder: Path, entry: StoryEntry) -> TrainingStory:
    """One story of a cache folder. Raises `FootageError` where its file is missing or damaged."""
    file = folder / STORIES / entry.file
    tensors = _checked(file, entry.digest)
    try:
        shots = [
            TrainingShot(
                latents=tensors[f"{at}.latents"],
                states=tensors[f"{at}.states"],
                caption=shot.caption,
                seconds=shot.seconds,
                emphasis=tensors.get(f"{at}.emphasis"),
                identities=tensors.get(f"{at}.identities"),
            )
            for at, shot in enumerate(entry.shots)
        ]
        return TrainingStory(
            name=entry.name, style_states=tensors.get("style"), shots=tuple(shots), style=entry.style
        )
    except (KeyError, ValueError) as error:
        raise FootageError(f"{file} is not the story that the index names: {error}; {AGAIN}") from error


def _tensors(story: TrainingStory) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for at, shot in enumerate(story.shots):
        tensors[f"{at}.latents"] = shot.latents
        tensors[f"{at}.states"] = shot.states
        if shot.emphasis is not None:
            tensors[f"{at}.emphasis"] = shot.emphasis
        if shot.identities is not None:
            tensors[f"{at}.identities"] = shot.identities
    if story.style_states is not None:
        tensors["style"] = story.style_states
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _entry(story: TrainingStory, digest: str, keys: Sequence[tuple[str, str]]) -> StoryEntry:
    shots = []
    for shot, (latents_key, states_key) in zip(story.shots, keys, strict=True):
        channels, frames, height, width = shot.latents.shape
        shots.append(
            ShotEntry(
                caption=shot.caption,
                seconds=shot.seconds,
                shape=(channels, frames, height, width),
                states=len(shot.states),
                latents_key=latents_key,
                states_key=states_key,
            )
        )
    return StoryEntry(
        name=story.name,
        file=f"{digest[:32]}.safetensors",
        digest=digest,
        shots=tuple(shots),
        style=story.style,
        style_states=0 if story.style_states is None else len(story.style_states),
    )


def _write(path: Path, data: bytes) -> None:
    with atomic_file(path) as part:
        part.write_bytes(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checked(file: Path, digest: str) -> dict[str, Tensor]:
    """The tensors of a file whose content has this digest. Raises `FootageError`."""
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise FootageError(f"{file} is missing; {AGAIN}") from error
    except OSError as error:
        raise FootageError(f"{file} cannot be read: {error.strerror}; {AGAIN}") from error
    if _digest(data) != digest:
        raise FootageError(f"{file} is damaged: its content is not what was written; {AGAIN}")
    try:
        return load(data)
    except SafetensorError as error:
        raise FootageError(f"{file} is damaged: {error}; {AGAIN}") from error
