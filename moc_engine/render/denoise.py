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

StepVelocity = Callable[[Tensor, Tensor, float], Tensor]
"""As `Velocity`, of one sample, and told the noise level (0–1) as a number: the timestep is on the device."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoised:
    """The latents after step `step` (from 1) of `steps`, and those before it with the velocity there."""

    step: int
    steps: int
    latents: Tensor
    before: Tensor
    velocity: Tensor
    sigma: Tensor

    @property
    def estimate(self) -> Tensor:
        """The model's estimate of the result (x0)."""
        return self.before - self.sigma * self.velocity


def stop_if_cancelled(cancel: CancelToken | None) -> None:
    """Raises `RenderCancelled` where the token is set."""
    if cancel is not None and cancel.is_set():
        raise RenderCancelled("the render was cancelled")


def draw_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Standard normal noise, float32 on the CPU: the same for the same seed, wherever it is used."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def guided(velocity: Velocity, sampler: SamplerConfig) -> StepVelocity:
    """Classifier-free guidance of one sample (1, …), at the noise levels at which `sampler` has it.

    `velocity` is called with a batch of two, the conditional entry first; with that alone where nothing is
    guided.
    """

    def predict(latents: Tensor, timestep: Tensor, level: float) -> Tensor:
        if not sampler.guides(level):
            return velocity(latents, timestep)
        twice = velocity(latents.repeat(2, *[1] * (latents.ndim - 1)), timestep.repeat(2))
        with_caption, without = twice.chunk(2)
        return without + sampler.guidance * (with_caption - without)

    return predict


def noise_levels(steps: int) -> list[float]:
    """The σ at which the model is asked, evenly from 1 to 1 / steps; the scheduler may shift them."""
    return [1.0 - step / steps for step in range(steps)]


def denoise(
    velocity: StepVelocity,
    noise: Tensor,
    scheduler: Any,
    steps: int,
    cancel: CancelToken | None = None,
) -> Iterator[Denoised]:
    """Yields after each step; the last one's latents are the result, in float32.

    `scheduler` is a diffusers flow-matching scheduler, which stays as it is. Nothing is read back from the
    device between steps. Raises `RenderCancelled` before the next step once `cancel` is set.
    """
    scheduler = deepcopy(scheduler)
    sigmas = noise_levels(steps)
    scheduler.set_timesteps(sigmas=sigmas, device="cpu")
    levels = (scheduler.timesteps / scheduler.config.num_train_timesteps).tolist()
    scheduler.set_timesteps(sigmas=sigmas, device=noise.device)
    scheduler.set_begin_index(0)  # else it would search for the timestep on the device
    latents = noise
    for nth, (timestep, level) in enumerate(zip(scheduler.timesteps, levels, strict=True)):
        stop_if_cancelled(cancel)
        with torch.no_grad():
            predicted = velocity(latents, timestep.expand(len(latents)), level).float()
        before, latents = latents, scheduler.step(predicted, timestep, latents).prev_sample
        yield Denoised(
            step=nth + 1,
            steps=steps,
            latents=latents,
            before=before,
            velocity=predicted,
            sigma=scheduler.sigmas[nth],
        )
