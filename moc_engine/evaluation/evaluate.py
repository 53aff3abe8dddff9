"""Evaluates a model on held-out stories: generates every shot from its caption, then measures the takes.

This is above `generation`, `measures` and `questions`: it asks all questions about one story at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from moc_engine.evaluation.benchmark.timing import milliseconds
from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.generation.stories import generate
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.evaluation.questions import following, motion, recall
from moc_engine.models.animatic.model import AnimaticPipeline, load
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story

BATCH: Final = 10
"""Stories generated at once, at most."""


def evaluate_model(
    pipeline: AnimaticPipeline,
    settings: EvaluationSettings,
    *,
    report: Callable[[int], None] = lambda done: None,
) -> Scores:
    """Generates and measures the stories; calls `report` with the number of finished stories.

    "seconds" is the CPU time that generating a story took; with `settings.costs` there are the `MemoryCosts`
    at its last shot too.
    """
    scores = Scores()
    for numbers in _batches(settings, BATCH):
        scores.extend(_evaluate_batch(pipeline, settings, numbers))
        report(numbers.stop)
    return scores


class EvaluationPool:
    """Processes of one thread each that evaluate models; started only if there is work for two of them.

    A model's folder must not change while the pool is open.
    """

    def __init__(self, processes: int) -> None:
        self._processes = max(1, processes)
        self._pool = ProcessPoolExecutor(
            self._processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        )

    def __enter__(self) -> EvaluationPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def evaluate(
        self,
        folder: Path,
        settings: EvaluationSettings,
        *,
        report: Callable[[int], None] = lambda done: None,
    ) -> Scores:
        """As `evaluate_model`, for the model in a folder.

        With `settings.costs` and a GPU some stories are generated there too: "gpu_seconds".
        """
        scores = self._evaluate(folder, settings, report)
        if settings.costs and torch.cuda.is_available():
            time_stories(load(folder).to("cuda"), settings, scores)
        return scores

    def _evaluate(self, folder: Path, settings: EvaluationSettings, report: Callable[[int], None]) -> Scores:
        batches = list(_batches(settings, min(BATCH, -(-settings.stories // self._processes))))
        if min(self._processes, len(batches)) < 2:
            return evaluate_model(load(folder), settings, report=report)
        scores = Scores()
        work = partial(_evaluate_in_process, folder, settings)
        for numbers, part in zip(batches, self._pool.map(work, batches), strict=True):
            scores.extend(part)
            report(numbers.stop)
        return scores


def time_stories(pipeline: AnimaticPipeline, settings: EvaluationSettings, scores: Scores) -> None:
    """Adds "gpu_seconds": the device's time to generate a story, measured in the second of two equal runs."""
    numbers = next(_batches(settings, BATCH))
    stories = [settings.story(number) for number in numbers]
    work = partial(generate, pipeline, stories, settings.generation, numbers=numbers)
    work()
    seconds = milliseconds(work, pipeline.device) / 1e3
    for number in numbers:
        scores.story = number
        scores.add("gpu_seconds", seconds / len(stories))


def _batches(settings: EvaluationSettings, size: int) -> Iterator[range]:
    for start in range(0, settings.stories, size):
        yield range(start, min(start + size, settings.stories))


def _evaluate_batch(pipeline: AnimaticPipeline, settings: EvaluationSettings, numbers: range) -> Scores:
    scores = Scores()
    stories = [settings.story(number) for number in numbers]
    generated = generate(pipeline, stories, settings.generation, numbers=numbers, with_costs=settings.costs)
    takes: NDArray[np.float32] = generated.latents.float().cpu().numpy()
    shares = zip(generated.pruned.tolist(), generated.pairs.tolist(), strict=True)
    for number, story, latents, (pruned, pairs) in zip(numbers, stories, takes, shares, strict=True):
        scores.story = number
        score_story(story, [Scene.from_latents(take) for take in latents], scores, pictures=settings.pictures)
        scores.add("pruned", pruned)
        scores.add("pairs", pairs)
        scores.add("seconds", generated.seconds / len(stories))
        if generated.costs is not None:
            for name, mebibytes in asdict(generated.costs).items():
                scores.add(f"{name}_mib", mebibytes)
    return scores


def score_story(story: Story, takes: Sequence[Scene], scores: Scores, *, pictures: bool = True) -> None:
    """Adds every measure of one story; with `pictures` also those that need painted frames."""
    drawn = [Timeline(take).drawn() for take in takes]
    recall.score(story, drawn, scores)
    following.score(story, drawn, scores)
    motion.score(story, drawn, scores)
    if pictures:
        from moc_engine.evaluation.questions import (
            pixels,
        )  # needs the rasterizer's packages; training does not

        pixels.score(story, takes, scores)


_loaded = lru_cache(maxsize=1)(load)  # once per worker process


def _evaluate_in_process(folder: Path, settings: EvaluationSettings, numbers: range) -> Scores:
    return _evaluate_batch(_loaded(folder), settings, numbers)
