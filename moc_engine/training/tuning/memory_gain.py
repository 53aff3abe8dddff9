"""What memory is worth to a model: its loss on held-out stories with it, and with each shot by itself.

Both are measured at the same noise, so that they differ in what is attended to alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from moc_engine.training.evaluator import Panels
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import TuningBatch, window
from moc_engine.training.tuning.draws import TuningDraw
from moc_engine.training.tuning.objective import flow_losses
from moc_engine.training.tuning.subject import seed_of

if TYPE_CHECKING:
    from moc_engine.training.tuning.subject import TuningSubject

WITH: Final = "loss with memory"
WITHOUT: Final = "loss without memory"
GAIN: Final = "gain of memory"

LEVELS: Final = (0.3, 0.6, 0.9)
"""The noise levels at which shots are measured, as shares of the range that the transformer denoises."""

SHOTS: Final = 6
"""The first shots of a story, which are measured: those after the first."""


class MemoryGain:
    """The loss of later shots with the chunks that the recipe ends with, and without any.

    The gain is the share of the latter by which the former is lower.
    """

    @property
    def panels(self) -> Panels:
        return {"Held-out stories": (WITH, WITHOUT), "Gain of memory": (GAIN,)}

    def evaluate(self, subject: TuningSubject, step: int) -> Mapping[str, float]:
        with_memory: list[float] = []
        without: list[float] = []
        low, high = subject.tuned.levels.low, subject.tuned.levels.high
        for number, story in enumerate(subject.stories.held_out):
            batch = subject.batch([window(story, 0, SHOTS)])
            if batch.shots < 2:
                continue
            nothing = torch.zeros(1, batch.shots, batch.shots, dtype=torch.bool)
            generator = torch.Generator().manual_seed(seed_of(subject.recipe.seed, 6, number))
            for level in LEVELS:
                draw = fixed_draw(batch, low + (high - low) * level, generator)
                for rules, found in (
                    (StoryRules(routing=subject.last_routing), with_memory),
                    (StoryRules(routing=None, candidates=nothing), without),
                ):
                    predicted = subject.denoiser(batch, draw, rules)
                    found.append(float(flow_losses(predicted, batch, draw).mean()))
        if not without:
            return {}
        routed, own = float(np.mean(with_memory)), float(np.mean(without))
        return {WITH: routed, WITHOUT: own, GAIN: 1.0 - routed / own}


def fixed_draw(batch: TuningBatch, level: float, generator: torch.Generator) -> TuningDraw:
    """All shots but the first at one noise level, and clean memories of those before."""
    later = tuple(range(1, batch.shots))
    shape = (1, len(later))
    draw = TuningDraw(
        denoised=later,
        level=torch.full(shape, level),
        noise=torch.randn(*shape, *batch.latents.shape[2:], generator=generator),
        without_caption=torch.zeros(shape, dtype=torch.bool),
        memory_level=torch.zeros(shape),
        memory_noise=torch.zeros(*shape, *batch.latents.shape[2:]),
    )
    return draw.to(batch.latents.device)
