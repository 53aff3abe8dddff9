"""Batches of generated stories. A batch depends only on seed, process and step, so resumed runs are the same.

Shapes: B stories, N shots, F latent frames of each shot, S slots, C channels, W words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from moc_engine.models.animatic.model import shot_text, story_text
from moc_engine.models.animatic.scene import SLOTS
from moc_engine.models.animatic.world import Story, sample_story
from moc_engine.training.schedule import Stage, stage_at

REDESCRIBED: Final = 0.25
"""The share of returning characters that are described again: more than in evaluation stories, since only
changing looks teach the model to use the latest one."""


@dataclass(frozen=True, kw_only=True)
class StoryBatch:
    """Stories with equally many shots of the same length: `latents` (B, N, F, S, C), words padded with zeros.

    `story_words` (B + 1, W) and `shot_words` (B · N + 1, W'): the last row of each is the empty caption.
    """

    latents: Tensor
    story_words: Tensor
    shot_words: Tensor

    def to(self, device: torch.device) -> StoryBatch:
        return StoryBatch(
            latents=self.latents.to(device, non_blocking=True),
            story_words=self.story_words.to(device, non_blocking=True),
            shot_words=self.shot_words.to(device, non_blocking=True),
        )


def collate(stories: Sequence[Story], tokenizer: Any) -> StoryBatch:
    """Latents and token ids of stories with equally many shots of the same length."""
    latents = np.stack([[shot.scene.to_latents() for shot in story.shots] for story in stories])
    shots = [shot_text(shot.caption, story.cast) for story in stories for shot in story.shots]
    return StoryBatch(
        latents=torch.from_numpy(latents),
        story_words=token_ids(
            tokenizer, [*(story_text(s.global_caption, s.cast) for s in stories), story_text("", ())]
        ),
        shot_words=token_ids(tokenizer, [*shots, shot_text("", ())]),
    )


def token_ids(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Token ids (R, W), padded with zeros."""
    words: Tensor = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").input_ids
    return words


class StoryStream(IterableDataset[StoryBatch]):
    """The endless batches of one process of a run, from step `start`."""

    def __init__(
        self,
        tokenizer: Any,
        stages: Sequence[Stage],
        *,
        steps: int,
        seed: int,
        start: int = 0,
        process: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self.stages = tuple(stages)
        self.steps = steps
        self.seed = seed
        self.start = start
        self.process = process

    def batch(self, step: int) -> StoryBatch:
        """The batch of a step: as many stories as fit into the stage's tokens."""
        rng = np.random.default_rng((self.seed, self.process, step))
        stage = stage_at(self.stages, step / self.steps)
        shots = int(rng.integers(stage.shots[0], stage.shots[1] + 1))
        tokens = int(rng.integers(stage.frames[0], stage.frames[1] + 1))
        count = max(1, stage.tokens // (shots * tokens * SLOTS))
        low, high = stage.cast
        stories = [
            sample_story(
                rng,
                shots=shots,
                cast=int(rng.integers(low, high + 1)),
                tokens=tokens,
                redescribed=REDESCRIBED,
            )
            for _ in range(count)
        ]
        return collate(stories, self.tokenizer)

    def __iter__(self) -> Iterator[StoryBatch]:
        worker = torch.utils.data.get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.start + number
        while True:
            yield self.batch(step)
            step += count


def loader(stream: StoryStream, workers: int) -> DataLoader[StoryBatch]:
    """Generates the stories in background processes, in the order of the steps.

    The processes are spawned: a fork server and its children would outlive a killed run.
    """
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
