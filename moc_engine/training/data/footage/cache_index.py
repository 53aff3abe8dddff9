"""The index of a cache of footage: what made it, and what its stories are, without reading them. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import FootageError
from moc_engine.files import write_text

INDEX: Final = "index.json"
VERSION: Final = 1

AGAIN: Final = "make the cache again: what is whole is kept"
ANEW: Final = "make the cache in another folder"


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


@dataclass(frozen=True, kw_only=True)
class CacheIndex:
    """The content of index.json; `unconditional` is the digest of that file."""

    identity: CacheIdentity
    unconditional: str
    stories: Mapping[str, StoryEntry]


def index_of(folder: Path, identity: CacheIdentity) -> CacheIndex:
    """The index of a cache of this identity. Raises `FootageError` as `read_index`, and for another one."""
    index = read_index(folder)
    different = identity.difference(index.identity)
    if different is not None:
        raise FootageError(f"{folder} holds a cache of another model: {different}")
    return index


def write_index(folder: Path, index: CacheIndex) -> None:
    """Replaces the index of a cache folder. Raises `OSError`."""
    record = {
        "version": VERSION,
        "made_by": asdict(index.identity),
        "unconditional": index.unconditional,
        "stories": [asdict(entry) for entry in index.stories.values()],
    }
    write_text(folder / INDEX, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_index(folder: Path) -> CacheIndex:
    """The index of a cache folder. Raises `FootageError` where there is none, or one that cannot be read."""
    path = folder / INDEX
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FootageError(f"{folder} is no cache of footage: there is no {INDEX}") from error
    except OSError as error:
        raise FootageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FootageError(f"{path} is damaged: {error}; {ANEW}") from error
    try:
        if int(record["version"]) > VERSION:
            raise FootageError(f"{path} was written by a newer version of moc-studio")
        stories = [_read_entry(story) for story in record["stories"]]
        return CacheIndex(
            identity=CacheIdentity(**record["made_by"]),
            unconditional=str(record["unconditional"]),
            stories={story.name: story for story in stories},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FootageError(f"{path} is damaged, or no index of footage: {error}; {ANEW}") from error


def _read_entry(record: Mapping[str, Any]) -> StoryEntry:
    shots = [ShotEntry(**{**shot, "shape": tuple(map(int, shot["shape"]))}) for shot in record["shots"]]
    entry = StoryEntry(**{**record, "shots": tuple(shots)})
    if Path(entry.file).name != entry.file:
        raise ValueError(f"the file {entry.file!r} of the story {entry.name!r} lies elsewhere")
    return entry
