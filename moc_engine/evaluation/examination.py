"""Examines a model on held-out stories: every shot rendered in order from captions alone, then read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from moc_engine.animatic.model import AnimaticPipeline, load
from moc_engine.animatic.scene import CAST_SIZE, Scene
from moc_engine.animatic.timeline import Timeline
from moc_engine.animatic.world import Story, sample_story
from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation import following, motion, recall
from moc_engine.evaluation.outcomes import Outcomes
from moc_engine.evaluation.playback import Playback, play

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


def examine_in_processes(
    folder: Path,
    examination: Examination,
    *,
    processes: int,
    report: Callable[[int], None] = lambda examined: None,
) -> Outcomes:
    """The same for the model in a folder, by several processes of one thread each."""
    groups = list(_groups(examination, min(GROUP, -(-examination.stories // max(1, processes)))))
    if min(processes, len(groups)) < 2:
        return examine_model(load(folder), examination, report=report)
    found = Outcomes()
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_begin, initargs=(folder, examination)
    ) as pool:
        for numbers, part in zip(groups, pool.map(_examine_in_process, groups), strict=True):
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
    for number, story, latents in zip(numbers, stories, takes, strict=True):
        found.story = number
        scenes = [Scene.from_latents(shot) for shot in latents]
        examine_story(story, scenes, found, pictures=examination.pictures)
        found.add("pruned", played.pruned)
    return found


def examine_story(story: Story, takes: Sequence[Scene], found: Outcomes, *, pictures: bool = True) -> None:
    """All that there is to find in one story; `pictures` are painted for a cross-check."""
    drawn = [Timeline(take).drawn() for take in takes]
    recall.examine(story, drawn, found)
    following.examine(story, drawn, found)
    motion.examine(story, drawn, found)
    if pictures:
        from moc_engine.evaluation import pixels  # training has no use for painters, nor needs their packages

        pixels.examine(story, takes, found)


_task: tuple[AnimaticPipeline, Examination] | None = None


def _begin(folder: Path, examination: Examination) -> None:
    global _task  # a worker process has one model for all its groups
    torch.set_num_threads(1)
    _task = load(folder), examination


def _examine_in_process(numbers: range) -> Outcomes:
    assert _task is not None
    return _examine_group(*_task, numbers)
