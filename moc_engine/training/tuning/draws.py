"""Random choices of a training step: noise for each shot, what is clean context, and what may be attended to.

Shapes: B stories, N shots, of which M are noisy, behind P that become memories; latents as in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.noise_levels import NoiseLevels
from moc_engine.training.tuning.recipe import TuningRecipe

NOISY_MEMORIES: Final = 0.2
"""The share of stories whose memories are read with noise: the others are read clean, as in a render."""


LONGEST_GAP: Final = 4
"""The longest gap between two shots, in lengths of the longest shot."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningDraw:
    """What is drawn for a step.

    The shots `denoised` (ascending) are noisy, each at its own `level` (B, M) with `noise` (B, M, C, F, H,
    W), and without captions where `without_caption` (B, M). Clean copies of the P shots before the last of
    them become memories, at `memory_level` (B, P) with `memory_noise` (B, P, C, F, H, W). `gaps` are
    the latent frames between each of the N shots and the one before it; empty where there are none.
    """

    denoised: tuple[int, ...]
    level: Tensor
    noise: Tensor
    without_caption: Tensor
    memory_level: Tensor
    memory_noise: Tensor
    gaps: tuple[int, ...] = ()

    @property
    def memories(self) -> int:
        """How many shots, from the first, become memories."""
        return self.denoised[-1]

    def to(self, device: torch.device) -> TuningDraw:
        tensors: dict[str, Any] = {
            name: x.to(device, non_blocking=True) for name, x in vars(self).items() if torch.is_tensor(x)
        }
        return replace(self, **tensors)

    def noisy(self, latents: Tensor) -> Tensor:
        """The noisy copies (B, M, …) of latents (B, N, …)."""
        return torch.lerp(latents[:, list(self.denoised)], self.noise, _over_latents(self.level))

    def clean(self, latents: Tensor) -> Tensor:
        """The copies (B, P, …) that become memories."""
        return torch.lerp(latents[:, : self.memories], self.memory_noise, _over_latents(self.memory_level))

    def velocity(self, latents: Tensor) -> Tensor:
        """The flow ε - x0 (B, M, …) of the noisy copies, which the model learns to predict."""
        return self.noise - latents[:, list(self.denoised)]


def _over_latents(level: Tensor) -> Tensor:
    return level[..., None, None, None, None]


def draw_step(
    batch: TuningBatch, recipe: TuningRecipe, levels: NoiseLevels, generator: torch.Generator
) -> TuningDraw:
    """Independent noise levels and noise for each shot of a batch, drawn by a generator on the CPU."""
    stories, shots = batch.latents.shape[:2]
    count = min(shots, recipe.denoised or shots)
    denoised = tuple(sorted(torch.randperm(shots, generator=generator)[:count].tolist()))
    latents = batch.latents.shape[2:]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    memory = uniform(stories, 1) * recipe.memory_noise * (uniform(stories, 1) < NOISY_MEMORIES)
    return TuningDraw(
        denoised=denoised,
        level=levels.draw((stories, count), generator),
        noise=torch.randn(stories, count, *latents, generator=generator),
        without_caption=uniform(stories, count) < recipe.caption_dropout,
        memory_level=memory.repeat(1, denoised[-1]),
        memory_noise=torch.randn(stories, denoised[-1], *latents, generator=generator),
        gaps=_draw_gaps(recipe, batch, generator),
    ).to(batch.latents.device)


def _draw_gaps(recipe: TuningRecipe, batch: TuningBatch, generator: torch.Generator) -> tuple[int, ...]:
    """None between the shots, or now and then some of up to a few shots' length."""
    if torch.rand((), generator=generator) >= recipe.gaps:
        return ()
    longest = int(torch.randint(1, LONGEST_GAP * batch.latents.shape[3] + 1, (), generator=generator))
    return (0, *torch.randint(0, longest + 1, (batch.shots - 1,), generator=generator).tolist())


def draw_rules(
    recipe: TuningRecipe, own: RoutingConfig, batch: TuningBatch, step: int, generator: torch.Generator
) -> StoryRules:
    """The routing of a step by the recipe over the model's `own`, and random pins and bans, on the CPU."""
    stories, shots = batch.latents.shape[:2]
    draws = torch.rand(stories, shots, shots, generator=generator)
    top_k = recipe.top_k(step)
    return StoryRules(
        routing=None if top_k is None else recipe.routing(own, top_k=top_k),
        candidates=draws >= recipe.bans,
        pinned=draws > 1.0 - recipe.pins,
        seed=int(torch.randint(2**62, (), generator=generator)),
    )
