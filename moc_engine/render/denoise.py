"""The denoising loop: from noise to latents with a flow-matching scheduler, one step at a time.

The model predicts velocity, ε - x0, at x = (1 - σ) x0 + σ ε; so x - σ · velocity estimates x0 at any step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from moc_engine.config import SamplerConfig
from moc_engine.contract import CancelToken
from moc_engine.errors import RenderCancelled

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Latents (B, …) and timesteps (B,) to velocity (B, …)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoised:
    """The latents after step `step` (from 1) of `steps`, and the model's estimate of the result (x0)."""

    step: int
    steps: int
    latents: Tensor
    estimate: Tensor


def stop_if_cancelled(cancel: CancelToken | None) -> None:
    """Raises `RenderCancelled` where the token is set."""
    if cancel is not None and cancel.is_set():
        raise RenderCancelled("the render was cancelled")


def draw_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Standard normal noise, float32 on the CPU: the same for the same seed, wherever it is used."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def guided(velocity: Velocity, sampler: SamplerConfig, train_timesteps: int) -> Velocity:
    """Classifier-free guidance of one sample (1, …), where `sampler` has it.

    `train_timesteps` is the timestep of σ = 1. `velocity` is called with a batch of two, the conditional
    entry first; with that alone where nothing is guided.
    """

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        if not sampler.guides(float(timestep[0]) / train_timesteps):
            return velocity(latents, timestep)
        twice = velocity(latents.repeat(2, *[1] * (latents.ndim - 1)), timestep.repeat(2))
        with_caption, without = twice.chunk(2)
        return without + sampler.guidance * (with_caption - without)

    return predict


def noise_levels(steps: int) -> list[float]:
    """The σ at which the model is asked, evenly from 1 to 1 / steps; the scheduler may shift them."""
    return [1.0 - step / steps for step in range(steps)]


def denoise(
    velocity: Velocity,
    noise: Tensor,
    scheduler: Any,
    steps: int,
    cancel: CancelToken | None = None,
) -> Iterator[Denoised]:
    """Yields after each step; the last one's latents are the result, in float32.

    `scheduler` is a diffusers flow-matching scheduler, which stays as it is. Raises `RenderCancelled`
    before the next step once `cancel` is set.
    """
    scheduler = deepcopy(scheduler)
    scheduler.set_timesteps(sigmas=noise_levels(steps), device=noise.device)
    latents = noise
    for nth, timestep in enumerate(scheduler.timesteps):
        stop_if_cancelled(cancel)
        with torch.no_grad():
            predicted = velocity(latents, timestep.expand(len(latents))).float()
        estimate = latents - scheduler.sigmas[nth] * predicted
        latents = scheduler.step(predicted, timestep, latents).prev_sample
        yield Denoised(step=nth + 1, steps=steps, latents=latents, estimate=estimate)
