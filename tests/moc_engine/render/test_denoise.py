from __future__ import annotations

import threading

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from moc_engine.config import SamplerConfig
from moc_engine.errors import RenderCancelled
from moc_engine.models.solver import even_levels, schedule_of
from moc_engine.render.denoise import denoise, draw_noise, draw_noises, guided

TARGET = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(7))


def straight(latents: Tensor, timesteps: Tensor, level: float) -> Tensor:
    """The velocity of a model that knows the result."""
    assert timesteps.tolist() == pytest.approx([1000 * level])
    return (latents - TARGET) / (timesteps / 1000).view(-1, 1, 1)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_perfect_model_is_followed_to_its_result(steps: int, shift: float) -> None:
    schedule = schedule_of(FlowMatchEulerDiscreteScheduler(shift=shift), steps, levels=even_levels)
    done = list(denoise(straight, draw_noise(TARGET.shape, 0), schedule))
    assert [(d.step, d.steps) for d in done] == [(n + 1, steps) for n in range(steps)]
    torch.testing.assert_close(done[-1].latents, TARGET)
    for d in done:
        torch.testing.assert_close(d.estimate, TARGET, atol=1e-4, rtol=1e-4)


def test_levels_go_from_pure_noise_to_the_last_step() -> None:
    assert even_levels(4) == [1.0, 0.75, 0.5, 0.25]
    asked: list[float] = []

    def velocity(latents: Tensor, timesteps: Tensor, level: float) -> Tensor:
        asked.extend(timesteps.tolist())
        return latents

    schedule = schedule_of(FlowMatchEulerDiscreteScheduler(), 4, levels=even_levels)
    list(denoise(velocity, torch.zeros(1, 2), schedule))
    assert asked == [1000.0, 750.0, 500.0, 250.0]


def test_cancel_takes_effect_before_the_next_step() -> None:
    cancel = threading.Event()
    schedule = schedule_of(FlowMatchEulerDiscreteScheduler(), 9)
    running = denoise(straight, torch.zeros_like(TARGET), schedule, cancel)
    next(running)
    next(running)
    cancel.set()
    with pytest.raises(RenderCancelled):
        next(running)


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 4.0])
def test_guidance_moves_away_from_the_unconditional_branch(guidance: float) -> None:
    def velocity(latents: Tensor, timesteps: Tensor) -> Tensor:
        assert len(latents) == len(timesteps) == (1 if guidance == 1.0 else 2)
        return torch.tensor([5.0, 2.0])[: len(latents), None, None].expand_as(latents)

    out = guided(velocity, SamplerConfig(guidance=guidance))(torch.zeros(1, 2, 2), torch.zeros(1), 1.0)
    torch.testing.assert_close(out, torch.full((1, 2, 2), 2.0 + guidance * 3.0))


def test_guidance_ends_below_its_floor() -> None:
    def velocity(latents: Tensor, timesteps: Tensor) -> Tensor:
        return torch.tensor([5.0, 2.0])[: len(latents), None, None].expand_as(latents)

    once = guided(velocity, SamplerConfig(guidance=4.0, guidance_floor=0.5))
    by_level = {at: float(once(torch.zeros(1, 1, 1), torch.zeros(1), at)) for at in (1.0, 0.5, 0.499)}
    assert by_level == {1.0: 14.0, 0.5: 14.0, 0.499: 5.0}


def test_noise_is_the_seeds_alone() -> None:
    first = draw_noise((1, 2, 3), 5)
    torch.rand(10)
    assert torch.equal(first, draw_noise((1, 2, 3), 5))
    assert not torch.equal(first, draw_noise((1, 2, 3), 6))
    further = draw_noises((1, 2, 3), 5)
    assert torch.equal(next(further), first)
    assert not torch.equal(next(further), first)
