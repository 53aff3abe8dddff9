"""What a run will need, predicted before it starts: memory of the device, and time.

Weights, optimizer state and averages are counted. What a step computes is measured on the device itself, with
the first layer and the first three layers of the model at the largest step of the run, and continued in a
straight line to all layers: activations, gradients and time grow alike with each. Time is measured at the
smallest and the median step too, and that of others lies between, by their operations: what a step costs
besides, such as starting each of its operations, is much of a small one. Once steps are measured, the time
that is left is told from those.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Protocol

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from moc_engine.training.allocations import PeakBytes

SHALLOW: Final = (1, 3)
"""Layers of the models that are measured."""

REPEATS: Final = 2
"""How often each is timed, after once to warm up; the fastest counts."""

MIB, GIB = 1 << 20, 1 << 30


class Measurable(Protocol):
    """A model that a step can be tried on."""

    @property
    def parameters(self) -> Sequence[nn.Parameter]:
        """The weights that are trained."""

    @property
    def tensors(self) -> Iterable[Tensor]:
        """All weights, and what the step is given."""

    def step(self) -> Tensor:
        """The loss of the step."""

    def change(self) -> None:
        """Takes the gradients into the weights, as the run does; they stay as they are."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The largest memory beside the weights in bytes, gradients included, and the seconds of a step."""

    layers: int
    peak: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Bytes on each device by what they are for, and the seconds of all steps of the run.

    `step` are activations and gradients at their peak together; `changing` is what the change of the weights
    needs, which comes after it. Sample films come on top. `rate` are seconds per operation, on average.
    """

    weights: float
    optimizer: float
    averages: float
    step: float
    changing: float
    seconds: float
    rate: float

    @property
    def total(self) -> float:
        """The peak in bytes."""
        return self.weights + self.optimizer + self.averages + max(self.step, self.changing)

    def __str__(self) -> str:
        parts = {
            "weights": self.weights,
            "optimizer": self.optimizer,
            "averages": self.averages,
            "activations and gradients": max(self.step, self.changing),
        }
        said = ", ".join(f"{name} {size_in_words(size)}" for name, size in parts.items() if size)
        return f"{size_in_words(self.total)} of memory ({said})"


@dataclass(frozen=True)
class StepTimes:
    """The time of a step by its work, from `measured` steps: (work, seconds), ascending by work."""

    measured: Sequence[tuple[float, float]]

    def seconds(self, work: float) -> float:
        """The time of a step: on the line between those that were measured, in proportion beyond the largest,
        and as long as the smallest below it."""
        works, seconds = zip(*self.measured, strict=True)
        between = float(np.interp(work, works, seconds))
        return between * max(1.0, work / float(works[-1]))


def measured(
    model: Measurable, layers: int, device: torch.device, clock: Callable[[], float] = time.monotonic
) -> Measured:
    """Tries a step on a model that is on the device, forward and backward."""
    seconds = []
    with _counting(model.tensors, device) as peak:
        model.step().backward()
        counted = peak()
    model.change()
    for _ in range(REPEATS):
        _drop_gradients(model)
        began = clock()
        model.step().backward()
        model.change()
        _wait(device)
        seconds.append(clock() - began)
    _drop_gradients(model)
    return Measured(layers=layers, peak=counted, seconds=min(seconds))


def continued(shallow: Sequence[Measured], layers: int) -> Measured:
    """What a model of so many layers will need, in a straight line from those of the first and the last."""
    first, last = shallow[0], shallow[-1]
    if first.layers == last.layers:
        return first
    share = (layers - first.layers) / (last.layers - first.layers)
    return Measured(
        layers=layers,
        peak=first.peak + share * (last.peak - first.peak),
        seconds=first.seconds + share * (last.seconds - first.seconds),
    )


def free_bytes(device: torch.device) -> float:
    """The memory that a run can have on the device: what is free of it."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(psutil.virtual_memory().available)


@dataclass(kw_only=True)
class StepClock:
    """The time of steps: measured, and expected of the work that is left.

    Work is in operations of arithmetic; only its ratios matter. The first step is left out, in which memory
    is taken and kernels are chosen.
    """

    now: Callable[[], float] = time.monotonic
    measured: list[tuple[float, float]] = field(default_factory=list)
    rate: float | None = None
    """Seconds per work that were predicted before the first step."""

    @contextmanager
    def step(self, work: float) -> Iterator[None]:
        """Times a step of so much work."""
        began = self.now()
        yield
        self.measured.append((work, self.now() - began))

    def seconds(self, work: float) -> float | None:
        """The time that so much work will take; None where nothing is known."""
        recent = self.measured[1:][-50:]
        rates = [seconds / done for done, seconds in recent if done > 0]
        rate = median(rates) if rates else self.rate
        return None if rate is None else work * rate


def in_words(seconds: float) -> str:
    """A duration such as "1 h 43 min"."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size_in_words(size: float) -> str:
    """Bytes such as "31.2 GiB" or "740 MiB"."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.3g} MiB"


def _drop_gradients(model: Measurable) -> None:
    for parameter in model.parameters:
        parameter.grad = None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _counting(known: Iterable[Tensor], device: torch.device) -> Iterator[Callable[[], float]]:
    """The peak of what is allocated within the block, beyond what was before."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: float(torch.cuda.max_memory_allocated(device) - before)
        return
    with PeakBytes(known) as held:
        yield lambda: float(held.peak)
