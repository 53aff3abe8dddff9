"""What memory is worth is measured where the transformer that is trained denoises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from moc_engine.models.finding import find_model
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.draws import TuningDraw
from moc_engine.training.tuning.memory_gain import LEVELS, MemoryGain
from moc_engine.training.tuning.subject import TuningSubject
from tests.fakes.tuning_runs import run_plan


class Listening(TuningDenoiser):
    """Keeps the noise levels that it is asked for."""

    def __init__(self, transformer: object) -> None:
        super().__init__(transformer)
        self.levels: list[float] = []

    def forward(self, batch: TuningBatch, draw: TuningDraw, rules: StoryRules) -> Tensor:
        self.levels.append(float(draw.level.mean()))
        return torch.zeros_like(draw.noise)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.875, 1.0), (0.0, 0.875)])
def test_an_expert_is_measured_at_its_own_noise_levels(tmp_path: Path, low: float, high: float) -> None:
    plan = run_plan(tmp_path)
    subject = TuningSubject(plan, find_model(plan.model), CachedFootage(plan.data))
    subject.tuned = replace(subject.tuned, levels=replace(subject.tuned.levels, low=low, high=high))
    subject.denoiser = listening = Listening(subject.transformer)
    MemoryGain().evaluate(subject, 0)
    wanted = [low + (high - low) * level for level in LEVELS for _ in ("with memory", "without")]
    assert listening.levels == pytest.approx(wanted)
