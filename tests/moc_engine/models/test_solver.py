"""Steps as weighted sums against the diffusers schedulers that they are made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from moc_engine.config import SamplerConfig
from moc_engine.errors import EngineError
from moc_engine.models.schedulers import chosen_scheduler, flow_shift
from moc_engine.models.solver import Schedule, Solver, even_levels, schedule_of

FLOW: dict[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}

SCHEDULERS = {
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": lambda: UniPCMultistepScheduler(flow_shift=5.0, **FLOW),
    "unipc 3": lambda: UniPCMultistepScheduler(flow_shift=3.0, solver_order=3, **FLOW),
    "unipc without correction": lambda: UniPCMultistepScheduler(disable_corrector=[0, 1], **FLOW),
    "dpm++": lambda: DPMSolverMultistepScheduler(flow_shift=8.0, **FLOW),
    "dpm++ 3": lambda: DPMSolverMultistepScheduler(solver_order=3, solver_type="midpoint", **FLOW),
}


def predicted(latents: Tensor, timestep: Tensor) -> Tensor:
    """A velocity that depends on both in no simple way."""
    return torch.sin(3 * latents) + latents * float(timestep) / 1000


def ours(schedule: Schedule, latents: Tensor) -> list[Tensor]:
    solver, done = Solver(iter(())), []
    for step, timestep in zip(schedule.steps, schedule.timesteps, strict=True):
        latents = solver.moved(step, latents, predicted(latents, timestep))
        done.append(latents)
    return done


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("steps", [6, 16])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_step_equals_the_schedulers_own(name: str, steps: int, start: int) -> None:
    scheduler, running = SCHEDULERS[name](), SCHEDULERS[name]()
    latents = torch.randn(1, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    done = ours(schedule_of(scheduler, steps, start=start), latents)
    running.set_timesteps(steps)
    running.set_begin_index(start)
    assert len(done) == steps - start
    for timestep, after in zip(running.timesteps[start:], done, strict=True):
        latents = running.step(predicted(latents, timestep), timestep, latents).prev_sample
        torch.testing.assert_close(after, latents, atol=2e-5, rtol=2e-5)


def test_a_step_of_euler_is_exact_and_keeps_nothing() -> None:
    schedule = schedule_of(FlowMatchEulerDiscreteScheduler(shift=3.0), 4, levels=even_levels)
    assert [step.timestep for step in schedule.steps] == pytest.approx([1000, 900, 750, 500])
    assert [step.sigma for step in schedule.steps] == pytest.approx([1.0, 0.9, 0.75, 0.5])
    for step in schedule.steps:
        (first, one), (second, weight) = step.latents
        assert (first, one, second, step.kept) == (0, 1.0, 1, ())
        assert weight < 0
    assert schedule.noises == 0


def test_timesteps_are_of_the_schedulers_dtype_and_levels_exact() -> None:
    schedule = schedule_of(UniPCMultistepScheduler(flow_shift=3.0, **FLOW), 10)
    assert schedule.timesteps.dtype == torch.int64
    assert [step.level for step in schedule.steps] == [int(t) / 1000 for t in schedule.timesteps]


def test_the_scheduler_stays_as_it_is() -> None:
    scheduler = UniPCMultistepScheduler(**FLOW)
    before = scheduler.timesteps.clone()
    ours(schedule_of(scheduler, 5), torch.ones(1, 2, 3))
    assert torch.equal(scheduler.timesteps, before)
    assert scheduler.model_outputs == [None, None]


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        (FlowMatchEulerDiscreteScheduler(stochastic_sampling=True), "draws noise"),
        (DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++", **FLOW), "draws noise"),
        (UniPCMultistepScheduler(thresholding=True, **FLOW), "clips its estimates"),
    ],
)
def test_what_is_no_sum_is_refused_in_words(scheduler: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        schedule_of(scheduler, 4)


@pytest.mark.parametrize("own", ["euler", "unipc"])
@pytest.mark.parametrize("name", ["euler", "unipc", "dpm++"])
def test_a_scheduler_is_chosen_with_the_shift_of_the_model(own: str, name: Any) -> None:
    scheduler = SCHEDULERS[own]()
    chosen = chosen_scheduler(scheduler, SamplerConfig(scheduler=name))
    assert type(chosen) is type(SCHEDULERS[name]())
    assert flow_shift(chosen) == flow_shift(scheduler)
    assert flow_shift(chosen_scheduler(scheduler, SamplerConfig(scheduler=name, shift=12.0))) == 12.0
    done = ours(schedule_of(chosen, 4), torch.ones(1, 2, 3))
    assert all(latents.isfinite().all() for latents in done)


def test_a_shift_alone_keeps_the_models_own_solver() -> None:
    scheduler = SCHEDULERS["unipc 3"]()
    shifted = chosen_scheduler(scheduler, SamplerConfig(shift=7.0))
    assert (type(shifted), shifted.config.solver_order) == (UniPCMultistepScheduler, 3)
    assert (flow_shift(shifted), flow_shift(scheduler)) == (7.0, 3.0)
    assert chosen_scheduler(scheduler, SamplerConfig()) is scheduler
