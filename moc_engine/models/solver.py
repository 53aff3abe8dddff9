"""The steps of a render: timesteps, noise levels, and each step of the solver as sums with fixed weights.

A step of a deterministic solver of the flow is a weighted sum of the latents, of the velocity, and of what
the solver keeps from earlier steps. The weights depend on the noise levels alone. They are worked out once,
on the host, by running a diffusers scheduler on unit vectors; so a step needs nothing of the host, and any
scheduler of that kind can be used, whatever its order.

    scheduler, number of steps ─► Schedule ─► weights of each step ─► sums on the device
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from moc_engine.errors import EngineError

Weights = tuple[tuple[int, float], ...]
"""A weighted sum of `SUMMED` and, behind them, of what the solver keeps: (index, weight) of what counts."""

SUMMED: Final = ("latents", "velocity", "noise")

KEPT_LISTS: Final = ("model_outputs",)
KEPT: Final = ("last_sample",)
"""Where diffusers' schedulers keep tensors from step to step."""


@dataclass(frozen=True, kw_only=True)
class SolverStep:
    """One step: the model is asked at `timestep`, which is noise level `level`; `sigma` is the solver's own.

    `latents` gives the latents after the step, `kept` what the solver keeps for later ones.
    """

    timestep: float
    level: float
    sigma: float
    latents: Weights
    kept: tuple[Weights, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """The steps of a render, and their `timesteps` as a tensor of the scheduler's dtype."""

    steps: tuple[SolverStep, ...]
    timesteps: Tensor

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def noises(self) -> int:
        """How many steps add fresh noise."""
        return sum(any(index == SUMMED.index("noise") for index, _ in step.latents) for step in self.steps)


def even_levels(steps: int) -> list[float]:
    """Noise levels evenly from 1 to 1 / steps."""
    return [1.0 - step / steps for step in range(steps)]


def schedule_of(
    scheduler: Any,
    steps: int,
    *,
    levels: Callable[[int], Sequence[float]] | None = None,
    start: int = 0,
) -> Schedule:
    """The schedule of a diffusers scheduler, which stays as it is; from step `start` on.

    `levels` gives the noise levels before the scheduler's shift; the scheduler's own where None. A scheduler
    with a method `schedule` makes its own. Raises `EngineError` for one that draws noise or clips its
    estimates, whose steps are no sums with fixed weights.
    """
    if hasattr(scheduler, "schedule"):
        own: Schedule = scheduler.schedule(steps, start=start)
        return own
    config = scheduler.config
    name = type(scheduler).__name__
    if config.get("stochastic_sampling") or str(config.get("algorithm_type", "")).startswith("sde"):
        raise EngineError(f"the scheduler {name} draws noise in each step, which the engine does not do")
    if config.get("thresholding"):
        raise EngineError(f"the scheduler {name} clips its estimates, which the engine does not do")
    scheduler = deepcopy(scheduler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how diffusers makes arrays of tensors
        if levels is None:
            scheduler.set_timesteps(steps, device="cpu")
        else:
            scheduler.set_timesteps(sigmas=list(levels(steps)), device="cpu")
    scheduler.set_begin_index(start)  # else it would search for the timestep
    timesteps = scheduler.timesteps[start:].clone()
    trained = config.num_train_timesteps
    made = []
    for nth, timestep in enumerate(timesteps):
        latents, kept = _unit_step(scheduler, timestep)
        made.append(
            SolverStep(
                timestep=float(timestep),
                level=float(timestep) / trained,
                sigma=float(scheduler.sigmas[start + nth]),
                latents=latents,
                kept=kept,
            )
        )
    return Schedule(steps=tuple(made), timesteps=timesteps)


def _unit_step(scheduler: Any, timestep: Tensor) -> tuple[Weights, tuple[Weights, ...]]:
    """Runs one step on unit vectors, and puts unit vectors in the place of what the scheduler keeps."""
    kept = [vector is not None for vector in _kept(scheduler)]
    unit = torch.eye(len(SUMMED) + len(kept), dtype=torch.float64)[:, None]
    _keep(
        scheduler,
        [vector if there else None for vector, there in zip(unit[len(SUMMED) :], kept, strict=True)],
    )
    moved = scheduler.step(unit[1], timestep, unit[0]).prev_sample
    return _weights(moved), tuple(_weights(vector) for vector in _kept(scheduler))


def _kept(scheduler: Any) -> list[Tensor | None]:
    lists = [vector for name in KEPT_LISTS for vector in getattr(scheduler, name, ())]
    return lists + [getattr(scheduler, name) for name in KEPT if hasattr(scheduler, name)]


def _keep(scheduler: Any, vectors: Sequence[Tensor | None]) -> None:
    given = iter(vectors)
    for name in KEPT_LISTS:
        if hasattr(scheduler, name):
            setattr(scheduler, name, [next(given) for _ in getattr(scheduler, name)])
    for name in KEPT:
        if hasattr(scheduler, name):
            setattr(scheduler, name, next(given))


def _weights(vector: Tensor | None) -> Weights:
    if vector is None:
        return ()
    if not vector.isfinite().all():
        raise EngineError("the scheduler's last step has no finite result; choose another scheduler")
    return tuple((index, weight) for index, weight in enumerate(vector.flatten().tolist()) if weight != 0.0)


class Solver:
    """Moves the latents of one render from step to step; `noises` are those that steps add, in order."""

    def __init__(self, noises: Iterator[Tensor]) -> None:
        self._noises = noises
        self._kept: list[Tensor | None] = []

    def moved(self, step: SolverStep, latents: Tensor, velocity: Tensor) -> Tensor:
        """The latents after the step."""
        self._kept += [None] * (len(step.kept) - len(self._kept))
        wanted = {index for index, _ in step.latents}
        noise = next(self._noises) if SUMMED.index("noise") in wanted else None
        summed = (latents, velocity, noise, *self._kept)
        after = _summed(step.latents, summed)
        assert after is not None
        self._kept = [_summed(weights, summed) for weights in step.kept]
        return after


def _summed(weights: Weights, tensors: Sequence[Tensor | None]) -> Tensor | None:
    total: Tensor | None = None
    for index, weight in weights:
        part = tensors[index]
        assert part is not None, "a step sums what no step before it kept"
        part = part if weight == 1.0 else weight * part
        total = part if total is None else total + part
    return total
