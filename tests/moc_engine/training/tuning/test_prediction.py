import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moc_engine.models.finding import find_model
from moc_engine.models.wan.defaults import TrainedOn
from moc_engine.training.allocations import PeakBytes
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.tuning.prediction import predict
from moc_engine.training.tuning.recipe import SparsityStage
from moc_engine.training.tuning.run import TuningRun, accelerator_of
from moc_engine.training.tuning.subject import TuningSubject
from tests.fakes.tuning_runs import base_folder, cache_folder, run_plan

LAYERS = 7
DENSE = (SparsityStage(until=1.0, top_k=None),)
MIXED = (SparsityStage(until=0.5, top_k=None), SparsityStage(until=1.0, top_k=2, shots=(3, 4)))
SPARSE = (SparsityStage(until=1.0, top_k=1),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of several layers, and caches of short and of long shots."""
    made = tmp_path_factory.mktemp("prediction")
    told = TrainedOn(fps=16, frames=5, size=(64, 64), frame_step=4, caption_states=8)
    base_folder(made / "base", told=told, num_layers=LAYERS, num_attention_heads=4, ffn_dim=96)
    cache_folder(made / "cache", made / "base", stories=3, frames=(2, 2, 2), side=8)
    cache_folder(made / "long", made / "base", stories=3, frames=(1, 4), side=8)
    cache_folder(made / "mixed", made / "base", stories=3, frames=(1, 6, 2, 4), side=8)
    return made


def _held(subject: TuningSubject) -> Iterator[Tensor]:
    yield from subject.transformer.parameters()
    yield from subject.transformer.buffers()


@pytest.mark.parametrize(
    ("cache", "recipe"),
    [
        ("cache", {"stages": DENSE}),
        ("cache", {"stages": SPARSE, "checkpointing": True}),
        ("cache", {"stages": DENSE, "kind": "full", "checkpointing": True, "shots": (2, 2)}),
        ("long", {"stages": DENSE, "kind": "full", "ema": 0.0, "batch": 2}),
        ("long", {"stages": SPARSE, "rank": 16, "denoised": 1}),
    ],
)
def test_the_memory_of_a_run_is_predicted_within_a_fifth(
    folder: Path, tmp_path: Path, cache: str, recipe: dict[str, Any]
) -> None:
    """Measured by what tensors two whole steps of the run hold at once, beside the weights."""
    plan = replace(
        run_plan(folder, **{"shots": (3, 3), "steps": 2, **recipe}, held_out=0), data=folder / cache
    )
    subject = TuningSubject(plan, find_model(plan.model), CachedFootage(plan.data))
    predicted = predict(subject, torch.device("cpu"))
    weights = sum(tensor.numel() * tensor.element_size() for tensor in _held(subject))
    with PeakBytes(_held(subject)) as held:
        run = TuningRun(plan, tmp_path, subject, accelerator_of(plan, tmp_path))
        for run.step in range(2):
            run._train_step()
    measured = weights + held.peak
    assert predicted.weights == weights
    assert predicted.total == pytest.approx(measured, rel=0.2)
    assert predicted.total < 2e9


@pytest.mark.parametrize(
    "recipe",
    [
        {"stages": (*MIXED[:1], SparsityStage(until=1.0, top_k=1)), "shots": (2, 4)},
        {"stages": MIXED, "shots": (2, 3), "accumulation": 2, "kind": "full"},
    ],
)
def test_the_time_of_a_run_of_mixed_shots_is_predicted_within_a_fifth(
    folder: Path, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    """Measured in time of this thread's CPU; of each step the fastest of two counts, as of those tried."""
    mixed = folder / "mixed"
    plan = replace(run_plan(folder, **{"steps": 8, **recipe}, held_out=0), data=mixed)
    subject = TuningSubject(plan, find_model(plan.model), CachedFootage(plan.data))
    predicted = predict(subject, torch.device("cpu"), clock=time.thread_time)
    run = TuningRun(plan, tmp_path, subject, accelerator_of(plan, tmp_path))
    measured = [_seconds(run, step) for step in range(plan.recipe.steps)]
    assert max(measured) > 1.5 * min(measured)
    assert predicted.seconds == pytest.approx(sum(measured), rel=0.2)


def _seconds(run: TuningRun, step: int) -> float:
    times = []
    for _ in range(2):
        run.step = step
        began = time.thread_time()
        run._train_step()
        times.append(time.thread_time() - began)
    return min(times)


def test_trying_a_step_leaves_the_weights_as_they_are(folder: Path) -> None:
    plan = run_plan(folder, kind="full", stages=DENSE, shots=(2, 2), held_out=0, steps=2)
    subject = TuningSubject(plan, find_model(plan.model), CachedFootage(plan.data))
    before = {name: weight.detach().clone() for name, weight in subject.trained.items()}
    ticks = iter(range(10_000))
    predicted = predict(subject, torch.device("cpu"), clock=lambda: float(next(ticks)))
    assert all(torch.equal(weight, before[name]) for name, weight in subject.trained.items())
    assert all(weight.grad is None for weight in subject.trained.values())
    assert isinstance(subject.transformer.blocks, nn.ModuleList)
    assert len(subject.transformer.blocks) == LAYERS
    assert predicted.seconds == pytest.approx(2.0)  # each trial took one tick, so that layers cost nothing
