"""Stories of random latents and caption states for tuning, and draws and rules to train on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from moc_engine.config import RoutingConfig
from moc_engine.training.data.footage.dataset import TrainingShot, TrainingStory
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import TuningBatch, collate
from moc_engine.training.tuning.draws import TuningDraw, draw_step
from moc_engine.training.tuning.noise_levels import NoiseLevels
from moc_engine.training.tuning.recipe import TuningRecipe

ROUTING = RoutingConfig(top_k=2, chunking="frame")


def story(
    frames: Sequence[int], *, seed: int = 0, channels: int = 4, width: int = 16, style: bool = True
) -> TrainingStory:
    """A story whose shots have so many latent frames of 4 × 6, and captions of a few states."""
    draws = torch.Generator().manual_seed(seed)
    shots = tuple(
        TrainingShot(
            latents=torch.randn(channels, length, 4, 6, generator=draws),
            states=torch.randn(3 + number % 2, width, generator=draws),
            caption=f"shot {number}",
            seconds=1.0,
        )
        for number, length in enumerate(frames)
    )
    global_states = torch.randn(2, width, generator=draws) if style else None
    return TrainingStory(name=f"story {seed}", style_states=global_states, shots=shots)


def batch_of(*stories: TrainingStory, caption_states: int | None = 8) -> TuningBatch:
    """A batch of stories; the empty caption has one state."""
    width = stories[0].shots[0].states.shape[1]
    empty = torch.randn(1, width, generator=torch.Generator().manual_seed(99))
    return collate(stories, empty, caption_states=caption_states)


def drawn(batch: TuningBatch, recipe: TuningRecipe | None = None, *, seed: int = 0) -> TuningDraw:
    """The draw of a step; without caption dropout and noise of memories unless a recipe has them."""
    plain = TuningRecipe(caption_dropout=0.0, memory_noise=0.0)
    return draw_step(batch, recipe or plain, NoiseLevels(), torch.Generator().manual_seed(seed))


def of_stories(draw: TuningDraw, stories: slice) -> TuningDraw:
    """What was drawn for some stories of a batch."""
    own: dict[str, Any] = {name: x[stories] for name, x in vars(draw).items() if isinstance(x, torch.Tensor)}
    return replace(draw, **own)


def banned(
    batch: TuningBatch, *pairs: tuple[int, int], routing: RoutingConfig | None = ROUTING
) -> StoryRules:
    """Rules by which the first shot of each pair may not attend to the second, in all stories."""
    shots = batch.shots
    candidates = torch.ones(len(batch.frames), shots, shots, dtype=torch.bool)
    for shot, earlier in pairs:
        candidates[:, shot, earlier] = False
    return StoryRules(routing=routing, candidates=candidates)
