"""Predicts what a run on its subject will need, by trying steps of three sizes on a few of its layers."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from moc_engine.errors import OutOfMemory
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.training.tuning.average import WeightAverage
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.optimizers import STATE_BYTES, optimizer_of
from moc_engine.training.tuning.order import Item
from moc_engine.training.tuning.run_needs import SHALLOW, Measured, Prediction, StepTimes, continued, measured
from moc_engine.training.tuning.subject import TuningSubject

LOOKED_AT: Final = 400
"""Steps of which the sizes are known, and whose work stands for that of all."""


def predict(
    subject: TuningSubject,
    device: torch.device,
    *,
    processes: int = 1,
    sharded: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Prediction:
    """What each of so many processes will need; the layers that are tried stay on the device.

    Raises `OutOfMemory` where not even those fit.
    """
    sizes = _sizes(subject, processes)
    subject.device = device
    layers = len(subject.blocks)
    try:
        tried = {
            step: [_tried(subject, items, step, device, clock) for items in sizes]
            for step in _stage_starts(subject)
        }
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"not even a step of {max(SHALLOW)} of the {layers} layers fits into memory: fewer --shots or "
            "smaller clips need less"
        ) from error
    times = {
        subject.recipe.top_k(step): StepTimes(
            sorted(
                (subject.work_of(items, step), whole.seconds)
                for items, whole in zip(sizes, found, strict=True)
            )
        )
        for step, found in tried.items()
    }
    expected = list(_expected(subject, processes, times))
    seconds, work = (sum(values) for values in zip(*expected, strict=True))
    parameters = list(subject.trained.values())
    weights = sum(
        x.numel() * x.element_size()
        for x in (*subject.transformer.parameters(), *subject.transformer.buffers())
    )
    trained = sum(p.numel() for p in parameters)
    gradients = sum(p.numel() * p.element_size() for p in parameters)
    step_peak = max(whole.peak for found in tried.values() for whole in found)
    shares = processes if sharded else 1
    if sharded:
        step_peak += gradients / shares - gradients + 2 * max(_bytes(block) for block in subject.blocks)
    return Prediction(
        weights=weights / shares,
        optimizer=trained * STATE_BYTES[subject.recipe.optimizer] / shares,
        averages=(4.0 * trained if subject.recipe.ema else 0.0) / shares,
        step=step_peak,
        changing=gradients / shares + 2 * max(p.numel() * 4.0 for p in parameters) / shares,
        seconds=seconds,
        rate=seconds / work,
    )


class _Shallow:
    """The first layers of a subject's transformer, with its own weights, on some items of a step."""

    def __init__(self, subject: TuningSubject, layers: int, items: Sequence[Item], step: int) -> None:
        self._subject, self._items, self._step = subject, items, step
        transformer = copy.copy(subject.transformer)
        transformer.__dict__["_modules"] = {
            **subject.transformer._modules,
            "blocks": nn.ModuleList(subject.blocks[:layers]),
        }
        self._denoiser = TuningDenoiser(
            transformer.to(subject.device),
            checkpointing=subject.recipe.checkpointing,
            memory=subject.recipe.memory(),
        )
        self._recipe = subject.recipe
        self.parameters = [p for p in transformer.parameters() if p.requires_grad]
        self._optimizer: torch.optim.Optimizer | None = None
        self._average: WeightAverage | None = None

    @property
    def tensors(self) -> Iterator[Tensor]:
        yield from self._denoiser.parameters()
        yield from self._denoiser.buffers()

    def step(self) -> Tensor:
        bf16 = self._recipe.precision == "bf16"
        with torch.autocast(self._subject.device.type, torch.bfloat16, enabled=bf16):
            return self._subject.loss(self._denoiser, self._items, self._step)

    def change(self) -> None:
        if self._optimizer is None or self._average is None:
            self._optimizer = optimizer_of(self._recipe, self.parameters)
            self._average = WeightAverage(self.parameters, self._recipe.ema)
        for group in self._optimizer.param_groups:
            group["lr"] = 0.0  # the weights stay as they are
        nn.utils.clip_grad_norm_(self.parameters, self._recipe.clip)
        self._optimizer.step()
        self._average.step()


def _tried(
    subject: TuningSubject, items: Sequence[Item], step: int, device: torch.device, clock: Callable[[], float]
) -> Measured:
    layers = len(subject.blocks)
    depths = sorted({min(depth, layers) for depth in SHALLOW})
    found = [measured(_Shallow(subject, depth, items, step), depth, device, clock) for depth in depths]
    return continued(found, layers)


def _stage_starts(subject: TuningSubject) -> list[int]:
    """The first step of the first stage, which is dense as a rule, and of the last."""
    recipe = subject.recipe
    before = recipe.stages[-2].until if len(recipe.stages) > 1 else 0.0
    return sorted({0, min(recipe.steps - 1, round(before * recipe.steps + 0.5))})


def _sizes(subject: TuningSubject, processes: int) -> list[tuple[Item, ...]]:
    """Of what one process computes at once: what has the most work, the least, and the median."""
    found = [items for step, _ in _looked_at(subject) for items in _parts(subject, step, processes)]
    found.sort(key=lambda items: subject.work_of(items, 0), reverse=True)
    chosen = [found[0], found[-1], found[len(found) // 2]]
    return list({round(subject.work_of(items, 0)): items for items in chosen}.values())


def _looked_at(subject: TuningSubject) -> Iterator[tuple[int, float]]:
    """Steps over the whole run, and how many each of them stands for."""
    steps = subject.recipe.steps
    looked = range(0, steps, max(1, steps // LOOKED_AT))
    for step in looked:
        yield step, steps / len(looked)


def _parts(subject: TuningSubject, step: int, processes: int) -> Iterator[tuple[Item, ...]]:
    """The alike items of a step that are computed at once, of all processes."""
    size = subject.recipe.batch
    items = subject.stories.items(step, processes)
    for first in range(0, len(items), size):
        yield from (alike.items for alike in subject.stories.alike(items[first : first + size]))


def _expected(
    subject: TuningSubject, processes: int, times: dict[int | None, StepTimes]
) -> Iterator[tuple[float, float]]:
    """Seconds and work in each process of what is computed at once, over the run."""
    last = times.get(subject.recipe.stages[-1].top_k, [*times.values()][-1])
    for step, count in _looked_at(subject):
        found = times.get(subject.recipe.top_k(step), last)
        for items in _parts(subject, step, processes):
            work = subject.work_of(items, step)
            yield found.seconds(work) * count / processes, work * count / processes


def _bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())
