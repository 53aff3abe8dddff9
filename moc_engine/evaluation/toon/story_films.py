"""Films of drawn stories by a toon model, many stories at a time, with memory or without.

Each step predicts the velocity with the denoiser that the model was trained with, whose output equals that of
a render, and takes an Euler step, as the model's scheduler does.

Shapes: B stories, N shots, C latent channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.toon.model_folder import SHIFT
from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.draws import TuningDraw

Memory = Literal["moc", "dense", "own"]
"""What a shot attends to beside itself: chunks that it routes to, all earlier shots, or none."""

MEMORIES: Final[tuple[Memory, ...]] = ("moc", "dense", "own")


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """What shots attend to, `top_k` chunks where that is "moc", and how they are denoised."""

    memory: Memory
    top_k: int
    steps: int
    guidance: float = 1.0
    shift: float = SHIFT
    seed: int = 1

    def rules(self, batch: TuningBatch) -> StoryRules:
        if self.memory == "moc":
            return StoryRules(routing=RoutingConfig(top_k=self.top_k, chunking="frame"))
        stories, shots = batch.latents.shape[:2]
        nothing = torch.zeros(stories, shots, shots, dtype=torch.bool)
        return StoryRules(routing=None, candidates=nothing if self.memory == "own" else None)

    def levels(self) -> Sequence[float]:
        """The noise levels of the steps, from 1 to 0."""
        even = torch.linspace(1.0, 0.0, self.steps + 1, dtype=torch.float64)
        levels: list[float] = (self.shift * even / (1.0 + (self.shift - 1.0) * even)).tolist()
        return levels

    def pruned(self, shots: int, frames: int) -> float:
        """The share of pairs with earlier shots that are not attended to, in films of so many shots."""
        earlier = [shot * frames for shot in range(1, shots)]
        if self.memory == "own" or not earlier:
            return 1.0
        attended = [min(self.top_k, chunks) if self.memory == "moc" else chunks for chunks in earlier]
        return 1.0 - sum(attended) / sum(earlier)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Step(TuningDraw):
    """A step of denoising: `noise` are the noisy latents as they are, and context is clean."""

    def noisy(self, latents: Tensor) -> Tensor:
        return self.noise


def after_drawn(denoiser: TuningDenoiser, batch: TuningBatch, settings: FilmSettings) -> Tensor:
    """The latents (B, N - 1, C, F, H, W) of all shots but the first, each with the drawn shots before it."""
    return _denoised(denoiser, batch, tuple(range(1, batch.shots)), settings)


def from_captions(denoiser: TuningDenoiser, batch: TuningBatch, settings: FilmSettings) -> Tensor:
    """The latents (B, N, C, F, H, W) of whole films, each shot with the film's own shots before it.

    The batch's latents are not looked at.
    """
    films = torch.zeros_like(batch.latents)
    for shot in range(batch.shots):
        films[:, shot] = _denoised(denoiser, replace(batch, latents=films), (shot,), settings)[:, 0]
    return films


@torch.no_grad()
def _denoised(
    denoiser: TuningDenoiser, batch: TuningBatch, shots: tuple[int, ...], settings: FilmSettings
) -> Tensor:
    """The latents of `shots`, from noise that depends on the seed and the shot alone."""
    latents, levels, rules = batch.latents, settings.levels(), settings.rules(batch)
    x = torch.stack([_noise(latents[:, shot], settings.seed, shot) for shot in shots], dim=1)
    for level, lower in pairwise(levels):
        flow = denoiser(batch, _step(latents, x, shots, level, captions=True), rules)
        if settings.guidance != 1.0:
            without = denoiser(batch, _step(latents, x, shots, level, captions=False), rules)
            flow = without + settings.guidance * (flow - without)
        x = x + (lower - level) * flow
    return x


def _noise(like: Tensor, seed: int, shot: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed * 1000 + shot)
    return torch.randn(like.shape, generator=generator).to(like)


def _step(latents: Tensor, x: Tensor, shots: tuple[int, ...], level: float, *, captions: bool) -> _Step:
    stories, count, memories = len(x), len(shots), shots[-1]
    return _Step(
        denoised=shots,
        level=x.new_full((stories, count), level),
        noise=x,
        without_caption=torch.full((stories, count), not captions, device=x.device),
        memory_level=x.new_zeros(stories, memories),
        memory_noise=torch.zeros_like(latents[:, :memories]),
    )
