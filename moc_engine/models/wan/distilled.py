"""The sampler of models distilled by distribution matching (FastWan): a few fixed timesteps.

At each the model predicts the result, which is made noisy again for the next one with fresh noise (Yin et
al., "Improved Distribution Matching Distillation", 2024). Noise levels are those of the shifted schedule that
the model was trained on, at its nearest timestep, as FastVideo has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from moc_engine.errors import EngineError
from moc_engine.models.solver import SUMMED, Schedule, SolverStep, Weights

LATENTS, VELOCITY, NOISE = (SUMMED.index(name) for name in ("latents", "velocity", "noise"))

SHIFTS: Final = {16: 8.0, 48: 5.0}
"""The flow shift of FastWan by the number of latent channels (FastVideo's `flow_shift`)."""


class DistilledScheduler:
    """Has the `config` of a diffusers scheduler, and makes the schedule of a render itself."""

    def __init__(self, timesteps: Sequence[int], shift: float) -> None:
        trained = FlowMatchEulerDiscreteScheduler(shift=shift)
        self.config: Any = trained.config
        self._timesteps = torch.tensor(timesteps)
        nearest = (trained.timesteps[None] - self._timesteps[:, None]).abs().argmin(dim=1)
        self._sigmas = trained.sigmas[nearest].tolist()

    def schedule(self, steps: int, start: int = 0) -> Schedule:
        """As `moc_engine.models.solver.schedule_of`. Raises `EngineError` for another number of steps."""
        if steps != len(self._sigmas):
            raise EngineError(f"steps: the model renders in its {len(self._sigmas)} steps, got {steps}")
        return Schedule(
            steps=tuple(self._step(nth) for nth in range(start, steps)), timesteps=self._timesteps[start:]
        )

    def _step(self, nth: int) -> SolverStep:
        sigma = self._sigmas[nth]
        after = self._sigmas[nth + 1] if nth + 1 < len(self._sigmas) else 0.0
        latents: Weights = ((LATENTS, 1.0 - after), (VELOCITY, -sigma * (1.0 - after)))
        timestep = float(self._timesteps[nth])
        return SolverStep(
            timestep=timestep,
            level=timestep / self.config.num_train_timesteps,
            sigma=sigma,
            latents=(*latents, (NOISE, after)) if after else latents,
        )
