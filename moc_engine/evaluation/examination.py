"""Examines a model on held-out stories: every shot rendered in order from captions alone, then read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.measures.outcomes import Outcomes
from moc_engine.evaluation.playback import Playback, play
from moc_engine.evaluation.questions import following, motion, recall
from moc_engine.models.animatic.model import AnimaticPipeline, load
from moc_engine.models.animatic.scene import CAST_SIZE, Scene
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story, sample_story

GROUP: Final = 10
"""Stories rendered at once, at most."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """How many stories, of how many shots and cast members, and how they are rendered.

    `tokens` is the length of every shot in token frames, two to a second. With `pictures` some characters are
    painted, to be examined in pixels too. Raises `ValueError` for what makes no sense.
    """

    stories: int = 100
    shots: int = 8
    cast: int = 4
    tokens: int = 6
    playback: Playback = field(
        default_factory=lambda: Playback(routing=RoutingConfig(), sampler=SamplerConfig())
    )
    seed: int = 10_000
    pictures: bool = True

    def __post_init__(self) -> None:
        for name in ("stories", "shots", "tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be 1 or more, got {getattr(self, name)}")
        if not 1 <= self.cast <= CAST_SIZE:
            raise ValueError(f"cast: must be within 1–{CAST_SIZE}, got {self.cast}")
        if self.seed < 0:
            raise ValueError(f"seed: must be 0 or more, got {self.seed}")

    def story(self, number: int) -> Story:
        """One of the held-out stories; a function of `seed` and its number."""
        rng = np.random.default_rng((self.seed, number))
        return sample_story(rng, shots=self.shots, cast=self.cast, tokens=self.tokens)


def examine_model(
    pipeline: AnimaticPipeline,
    examination: Examination,
    *,
    report: Callable[[int], None] = lambda examined: None,
) -> Outcomes:
    """Renders the stories and reads them; `report` hears how many are done."""
    found = Outcomes()
    for numbers in _groups(examination, GROUP):
        found.join(_examine_group(pipeline, examination, numbers))
        report(numbers.stop)
    return found


class Examiners:
    """Processes of one thread each that examine models; they start with the first work for two of them.

    A model's folder must not change while they live.
    """

    def __init__(self, processes: int) -> None:
        self._processes = max(1, processes)
        self._pool = ProcessPoolExecutor(
            self._processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        )

    def __enter__(self) -> Examiners:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def examine(
        self,
        folder: Path,
        examination: Examination,
        *,
        report: Callable[[int], None] = lambda examined: None,
    ) -> Outcomes:
        """As `examine_model`, the model in a folder."""
        groups = list(_groups(examination, min(GROUP, -(-examination.stories // self._processes))))
        if min(self._processes, len(groups)) < 2:
            return examine_model(load(folder), examination, report=report)
        found = Outcomes()
        work = partial(_examine_in_process, folder, examination)
        for numbers, part in zip(groups, self._pool.map(work, groups), strict=True):
            found.join(part)
            report(numbers.stop)
        return found


def _groups(examination: Examination, size: int) -> Iterator[range]:
    for start in range(0, examination.stories, size):
        yield range(start, min(start + size, examination.stories))


def _examine_group(pipeline: AnimaticPipeline, examination: Examination, numbers: range) -> Outcomes:
    found = Outcomes()
    stories = [examination.story(number) for number in numbers]
    played = play(pipeline, stories, examination.playback, numbers=numbers)
    takes: NDArray[np.float32] = played.latents.float().cpu().numpy()
    for number, story, latents, pruned in zip(numbers, stories, takes, played.pruned, strict=True):
        found.story = number
        scenes = [Scene.from_latents(shot) for shot in latents]
        examine_story(story, scenes, found, pictures=examination.pictures)
        found.add("pruned", float(pruned))
    return found


def examine_story(story: Story, takes: Sequence[Scene], found: Outcomes, *, pictures: bool = True) -> None:
    """All that there is to find in one story; `pictures` are painted for a cross-check."""
    drawn = [Timeline(take).drawn() for take in takes]
    recall.examine(story, drawn, found)
    following.examine(story, drawn, found)
    motion.examine(story, drawn, found)
    if pictures:
        from moc_engine.evaluation.questions import (
            pixels,  # training has no use for painters, nor needs their packages
        )

        pixels.examine(story, takes, found)


_loaded = lru_cache(maxsize=1)(load)  # for the life of a worker process


def _examine_in_process(folder: Path, examination: Examination, numbers: range) -> Outcomes:
    return _examine_group(_loaded(folder), examination, numbers)
