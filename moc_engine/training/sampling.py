"""Random choices about the shots of a training step: their positions in time and what they may attend to."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moc_engine.training.recipes import Recipe
from moc_engine.training.schedule import stage_at
from moc_engine.training.story_rules import StoryRules


def draw_starts(shots: int, frames: int, gaps: float, generator: torch.Generator) -> Tensor:
    """The token frame at which each shot begins, (N): contiguous, or with random gaps; always in order."""
    lengths = torch.full((shots,), frames)
    if torch.rand((), generator=generator) < gaps:
        longest = int(torch.randint(1, 33, (), generator=generator))
        lengths += torch.randint(0, longest, (shots,), generator=generator)
    return lengths.cumsum(0) - frames


def draw_rules(
    plan: Recipe, stories: int, shots: int, step: int, generator: torch.Generator, device: torch.device
) -> StoryRules:
    """The routing of this step, with drop-off and drop-in, and random pins and bans.

    With the router "own" no shot may attend to another.
    """
    draws = torch.rand(stories, shots, shots, generator=generator)
    top_k = stage_at(plan.stages, step / plan.steps).top_k
    alone = plan.router == "own"
    return StoryRules(
        routing=None if top_k is None else replace(plan.routing, top_k=top_k),
        candidates=(draws >= (1.0 if alone else plan.bans)).to(device),
        pinned=(draws > 1.0 - (0.0 if alone else plan.pins)).to(device),
        seed=int(torch.randint(2**62, (), generator=generator)),
    )
