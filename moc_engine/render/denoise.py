"""The denoising loop: from noise to latents along a schedule, one step at a time.

The model predicts velocity, ε - x0, at x = (1 - σ) x0 + σ ε; so x - σ · velocity estimates x0 at any step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moc_engine.config import SamplerConfig
from moc_engine.contract import CancelToken
from moc_engine.errors import RenderCancelled
from moc_engine.models.solver import Schedule, Solver

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
    sigma: float

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
    return next(draw_noises(shape, seed))


def draw_noises(shape: Sequence[int], seed: int) -> Iterator[Tensor]:
    """Independent draws of noise, one after the other, of which `draw_noise` is the first."""
    generator = torch.Generator("cpu").manual_seed(seed)
    while True:
        yield torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def guided(velocity: Velocity, sampler: SamplerConfig, boundary: float = 0.0) -> StepVelocity:
    """Classifier-free guidance of one sample (1, …), at the noise levels at which `sampler` has it.

    Below the noise level `boundary` its strength is that of the expert for low noise. `velocity` is called
    with a batch of two, the conditional entry first; with that alone where nothing is guided.
    """

    def predict(latents: Tensor, timestep: Tensor, level: float) -> Tensor:
        guidance = sampler.guidance_at(level, boundary)
        if guidance == 1.0:
            return velocity(latents, timestep)
        twice = velocity(latents.repeat(2, *[1] * (latents.ndim - 1)), timestep.repeat(2))
        with_caption, without = twice.chunk(2)
        return without + guidance * (with_caption - without)

    return predict


def denoise(
    velocity: StepVelocity,
    latents: Tensor,
    schedule: Schedule,
    cancel: CancelToken | None = None,
    noises: Iterable[Tensor] = (),
) -> Iterator[Denoised]:
    """Yields after each step; the last one's latents are the result, in float32.

    `latents` are noise, or noisy latents at the noise level of the first step; `noises` are what steps add
    where the schedule has such. Nothing is read back from the device between steps. Raises `RenderCancelled`
    before the next step once `cancel` is set.
    """
    solver = Solver(iter(noises))
    timesteps = schedule.timesteps.to(latents.device)
    for nth, (step, timestep) in enumerate(zip(schedule.steps, timesteps, strict=True)):
        stop_if_cancelled(cancel)
        with torch.no_grad():
            predicted = velocity(latents, timestep.expand(len(latents)), step.level).float()
            before, latents = latents, solver.moved(step, latents, predicted)
        yield Denoised(
            step=nth + 1,
            steps=len(schedule),
            latents=latents,
            before=before,
            velocity=predicted,
            sigma=step.sigma,
        )
