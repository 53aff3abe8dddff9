"""One run that fills a cache of footage: encodes what is missing, and writes story after story."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from moc_engine.errors import DiskFull, FootageError, OutOfMemory
from moc_engine.models.footage_encoders import FootageEncoders
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.training.data.footage.cache_index import CacheIdentity, StoryEntry
from moc_engine.training.data.footage.clip_needs import ClipNeeds
from moc_engine.training.data.footage.dataset import CacheWriter, TrainingShot, TrainingStory
from moc_engine.training.data.footage.earlier_cache import EarlierCache
from moc_engine.training.data.footage.made_parts import MadeParts
from moc_engine.training.data.footage.planning import FootagePlan, PlannedShot, PlannedStory, unreadable
from moc_engine.training.data.footage.problems import Problem, ProblemPolicy
from moc_engine.training.data.footage.reading_plan import FootageProgress, Report
from moc_engine.training.data.footage.shot_frames import VERSION, shot_frames
from moc_engine.training.data.footage.video_reading import UnreadableVideo

MADE: Final = "made"
"""The folder, in a cache's, of what is encoded for stories that are not whole yet."""

_STATES_BYTES: Final = 1_000_000
"""Of the states of a caption, at most in all likelihood."""

_SPARE: Final = 200_000_000
"""Bytes that stay free on the disk."""


@dataclass(frozen=True, kw_only=True)
class CacheReport:
    """What a cache holds after a run, and what of it was made in the run."""

    stories: int
    shots: int
    frames: int
    made_latents: int
    made_states: int
    problems: tuple[Problem, ...]


class CacheRun:
    """One run: encodes what is missing, and writes story after story."""

    def __init__(
        self,
        folder: Path,
        identity: CacheIdentity,
        encoders: FootageEncoders,
        needs: ClipNeeds,
        policy: ProblemPolicy,
        report: Report,
        check: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._encoders = encoders
        self._needs = needs
        self._policy = policy
        self._report = report
        self._check = check
        self._made = MadeParts(folder / MADE)
        self._before = EarlierCache(folder, identity)
        self._problems: list[Problem] = []
        self._latents = self._states = 0
        self._shots_done = 0

    def carry_out(self, plan: FootagePlan, source: str) -> CacheReport:
        others = {name for name, entry in self._before.entries.items() if entry.source != source}
        for story in plan.stories:
            if story.name in others:
                raise FootageError(
                    f"{self._folder} holds a story {story.name!r} of other footage; choose another folder"
                )
        self._check_room(plan)
        self._encode_captions(plan)
        nothing = self._before.unconditional()
        nothing = self._caption("") if nothing is None else nothing
        with CacheWriter(self._folder, self._identity, nothing, every=1) as cache:
            names = [story.name for story in plan.stories if self._add(story, cache, source, plan.shots)]
            self._report(FootageProgress(stage="encode", done=plan.shots, total=plan.shots))
            cache.keep_only([*(name for name in cache.stories if name in others), *names])
            entries = list(cache.stories.values())
        self._made.clear()
        return CacheReport(
            stories=len(entries),
            shots=sum(len(entry.shots) for entry in entries),
            frames=sum(shot.shape[1] for entry in entries for shot in entry.shots),
            made_latents=self._latents,
            made_states=self._states,
            problems=(*plan.problems, *self._problems),
        )

    def _add(self, story: PlannedStory, cache: CacheWriter, source: str, total: int) -> bool:
        """Writes a story, unless it is there already; whether any of it could be read."""
        keys = [(self._latents_key(shot, story), self._states_key(shot.clip.caption)) for shot in story.shots]
        style_key = self._states_key(story.style) if story.style else ""
        entry = self._before.entries.get(story.name)
        if entry is not None and _is(entry, keys, style_key) and self._before.story(entry) is not None:
            self._shots_done += len(story.shots)
            return True
        shots, used = [], []
        for shot, key in zip(story.shots, keys, strict=True):
            self._report(
                FootageProgress(stage="encode", done=self._shots_done, total=total, text=str(shot.clip.file))
            )
            latents = self._latents_of(shot, story, key[0])
            self._shots_done += 1
            if latents is None:
                continue
            used.append(key)
            shots.append(
                TrainingShot(
                    latents=latents,
                    states=self._caption(shot.clip.caption),
                    caption=shot.clip.caption,
                    seconds=shot.frames / self._needs.rate,
                )
            )
        if not shots:
            return False
        style_states = self._caption(story.style) if story.style else None
        made = TrainingStory(
            name=story.name, style_states=style_states, shots=tuple(shots), style=story.style
        )
        cache.add(made, keys=used, style_key=style_key, source=source)
        for latents_key, _ in used:
            self._made.remove(latents_key)
        return True

    def _latents_of(self, shot: PlannedShot, story: PlannedStory, key: str) -> Tensor | None:
        """The latents of a shot, encoded where there are none; None where its file cannot be read now."""
        self._check()
        known = self._made.read(key)
        known = self._before.latents(key) if known is None else known
        if known is not None:
            return known
        try:
            frames = shot_frames(
                shot.clip.file, shot.start, shot.frames, self._needs.rate, story.size, check=self._check
            )
        except (UnreadableVideo, OSError) as error:
            problem = unreadable(shot.clip, error)
            self._problems.append(problem)
            if self._policy.fatal([problem]):
                raise FootageError(f"the footage is refused: {problem}") from error
            return None
        try:
            with self._encoders.ended_by(self._check):
                latents = self._encoders.latents(frames)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"memory ran out while {shot.clip.file} was encoded: {shot.frames} frames of "
                f"{story.size[0]}×{story.size[1]}; lower the size or the number of frames"
            ) from error
        if not torch.isfinite(latents).all():
            raise FootageError(f"the latents of {shot.clip.file} are not finite numbers")
        self._made.write(key, latents)
        self._latents += 1
        return latents

    def _encode_captions(self, plan: FootagePlan) -> None:
        """Encodes the captions whose states are not there, and frees the text encoder."""
        missing = [caption for caption in _captions(plan) if not self._is_known(caption)]
        if self._before.unconditional() is None:
            missing.insert(0, "")
        for done, caption in enumerate(missing):
            self._check()
            self._report(FootageProgress(stage="captions", done=done, total=len(missing), text=caption[:80]))
            self._made.write(self._states_key(caption), self._encoders.states(caption))
            self._states += 1
        if missing:
            self._report(FootageProgress(stage="captions", done=len(missing), total=len(missing)))
        self._encoders.release_text_encoder()

    def _is_known(self, caption: str) -> bool:
        key = self._states_key(caption)
        return self._made.read(key) is not None or self._before.states(key) is not None

    def _caption(self, caption: str) -> Tensor:
        """The states of a caption, which are there but for a file that was damaged meanwhile."""
        key = self._states_key(caption)
        states = self._made.read(key)
        states = self._before.states(key) if states is None else states
        return self._encoders.states(caption) if states is None else states

    def _check_room(self, plan: FootagePlan) -> None:
        """Raises `DiskFull` where what is missing would not fit on the disk."""
        needed = largest = 0
        for story in plan.stories:
            sizes = {
                self._latents_key(shot, story): self._needs.bytes_of(shot.frames, story.size)
                for shot in story.shots
            }
            entry = self._before.entries.get(story.name)
            there = set() if entry is None else {shot.latents_key for shot in entry.shots}
            needed += sum(size for key, size in sizes.items() if key not in there and key not in self._made)
            largest = max(largest, sum(sizes.values()))
        captions = sum(1 for caption in _captions(plan) if not self._is_known(caption))
        needed += largest + 2 * captions * _STATES_BYTES
        folder = self._folder.absolute()
        where = next(path for path in (folder, *folder.parents) if path.exists())
        free = max(0, shutil.disk_usage(where).free - _SPARE)
        if needed > free:
            raise DiskFull(
                f"{self._folder} needs {needed / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB to spare; "
                "choose another folder, or fewer or smaller shots"
            )

    def _latents_key(self, shot: PlannedShot, story: PlannedStory) -> str:
        return _key(
            "latents",
            VERSION,
            shot.digest,
            round(shot.start, 6),
            shot.frames,
            self._needs.rate,
            story.size,
            self._encoders.autoencoder_identity,
            self._identity.latent_space,
        )

    def _states_key(self, caption: str) -> str:
        return _key("states", self._identity.text_encoder, self._encoders.text_dtype, caption)


def _captions(plan: FootagePlan) -> Iterator[str]:
    """The captions of a plan, each once; the empty one is encoded in any case."""
    texts = (text for story in plan.stories for text in (story.style, *(s.clip.caption for s in story.shots)))
    yield from (text for text in dict.fromkeys(texts) if text)


def _is(entry: StoryEntry, keys: list[tuple[str, str]], style_key: str) -> bool:
    there = [(shot.latents_key, shot.states_key) for shot in entry.shots]
    return there == keys and entry.style_key == style_key


def _key(*what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:40]
