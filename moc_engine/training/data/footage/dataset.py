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
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, overload

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from moc_engine.errors import FootageError
from moc_engine.files import atomic_file, listed, remove_abandoned, write_text

INDEX: Final = "index.json"
UNCONDITIONAL: Final = "unconditional.safetensors"
STORIES: Final = "stories"
VERSION: Final = 1

AGAIN: Final = "make the cache again: what is whole is kept"


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingShot:
    """One shot: `latents` (C, F, H, W) on the denoiser's own scale, `states` (T, D) without padding.

    `seconds` is how long the frames are shown that the latents stand for.
    """

    latents: Tensor
    states: Tensor
    caption: str
    seconds: float


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


@dataclass(frozen=True, kw_only=True)
class CacheIdentity:
    """What made the latents and states of a cache.

    `latent_space` is that of the model's backbone; `text_encoder` a digest of the text encoder's weights and
    tokenizer; `model` what people call the model, for messages alone. `rate` are the frames a second of the
    clips that latents stand for.
    """

    latent_space: str
    text_encoder: str
    model: str
    rate: float

    def difference(self, other: CacheIdentity) -> str | None:
        """What another identity does not share with this one, in words; None where training may mix them."""
        if self.latent_space != other.latent_space:
            return f"latents of {self.model} ({self.latent_space}) are not those of {other.model}"
        if self.text_encoder != other.text_encoder:
            return f"caption states of {self.model} are not those of {other.model}: other text encoders"
        return None


@dataclass(frozen=True, kw_only=True)
class ShotEntry:
    """What the index tells of a shot: the shape of its latents, and the number of its states.

    `latents_key` and `states_key` are digests of everything that decided the values; "" where not known.
    """

    caption: str
    seconds: float
    shape: tuple[int, int, int, int]
    states: int
    latents_key: str = ""
    states_key: str = ""


@dataclass(frozen=True, kw_only=True)
class StoryEntry:
    """What the index tells of a story: its file in the folder of stories, and the digest of that.

    `source` is the folder or file of footage that the story was found in; "" for one that was written.
    """

    name: str
    file: str
    digest: str
    shots: tuple[ShotEntry, ...]
    style: str = ""
    style_states: int = 0
    style_key: str = ""
    source: str = ""


class CachedFootage(Sequence[TrainingStory]):
    """The stories of a cache folder, each read and checked when it is asked for.

    `entries` tells of each story what can be known without reading it. Raises `FootageError` for a folder
    that is no cache, is damaged or of a newer version, and for a story whose file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = _read_index(folder)
        self.identity: CacheIdentity = index.identity
        self.entries: tuple[StoryEntry, ...] = tuple(index.stories.values())
        self.unconditional_states: Tensor = _checked(folder / UNCONDITIONAL, index.unconditional)["states"]
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


@dataclass(frozen=True, kw_only=True)
class _Index:
    """The content of index.json; `unconditional` is the digest of that file."""

    identity: CacheIdentity
    unconditional: str
    stories: Mapping[str, StoryEntry]


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
        self._index = _Index(identity=identity, unconditional=_digest(data), stories={})
        if (folder / INDEX).exists():
            there = _read_index(folder)
            different = identity.difference(there.identity)
            if different is not None:
                raise FootageError(f"{folder} holds a cache of another model: {different}")
            self._index = replace(self._index, stories=there.stories)
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
        write_text(self._folder / INDEX, _index_text(self._index))
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
    index = _read_index(folder)
    states = _checked(folder / UNCONDITIONAL, index.unconditional)["states"]
    with CacheWriter(folder, index.identity, states) as cache:
        cache.add(story)


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


def _index_text(index: _Index) -> str:
    record = {
        "version": VERSION,
        "made_by": asdict(index.identity),
        "unconditional": index.unconditional,
        "stories": [asdict(entry) for entry in index.stories.values()],
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _read_index(folder: Path) -> _Index:
    path = folder / INDEX
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FootageError(f"{folder} is no cache of footage: there is no {INDEX}") from error
    except OSError as error:
        raise FootageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FootageError(f"{path} is damaged: {error}") from error
    try:
        if int(record["version"]) > VERSION:
            raise FootageError(f"{path} was written by a newer version of moc-studio")
        stories = [_read_entry(story) for story in record["stories"]]
        return _Index(
            identity=CacheIdentity(**record["made_by"]),
            unconditional=str(record["unconditional"]),
            stories={story.name: story for story in stories},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FootageError(f"{path} is damaged, or no index of footage: {error}") from error


def _read_entry(record: Mapping[str, Any]) -> StoryEntry:
    shots = [ShotEntry(**{**shot, "shape": tuple(map(int, shot["shape"]))}) for shot in record["shots"]]
    entry = StoryEntry(**{**record, "shots": tuple(shots)})
    if Path(entry.file).name != entry.file:
        raise ValueError(f"the file {entry.file!r} of the story {entry.name!r} lies elsewhere")
    return entry
