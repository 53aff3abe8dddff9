"""The history of a training run and its plot: the loss and the evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from moc_engine.files import atomic_file

Point = tuple[int, float]


@dataclass(kw_only=True)
class History:
    """Points (step, value) of a run so far: the loss, and in `recall` the evaluations by metric."""

    loss: list[Point] = field(default_factory=list)
    recall: dict[str, list[Point]] = field(default_factory=dict)

    def add_evaluation(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.recall.setdefault(name, []).append((step, value))


def smooth(values: Sequence[float], window: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Moving averages over the last `window` values, fewer at the beginning."""
    sums = np.cumsum(np.concatenate(([0.0], np.asarray(values, dtype=np.float64))))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - window)
    means: np.ndarray[tuple[int], np.dtype[np.float64]] = (sums[ends] - sums[begins]) / (ends - begins)
    return means


def draw(history: History, path: Path, panels: Mapping[str, Sequence[str]]) -> None:
    """Plots loss and evaluations over the steps to a PNG, replaced atomically.

    `panels` maps the title of each plot beside the loss to its metrics.
    """
    figure = Figure(figsize=(13.0 / 3 * (1 + len(panels)), 4.0), dpi=120, layout="constrained")
    left, *others = figure.subplots(1, 1 + len(panels), squeeze=False)[0]
    if history.loss:
        steps, losses = zip(*history.loss, strict=True)
        left.plot(steps, losses, color="#c9d3dc", linewidth=0.6)
        left.plot(steps, smooth(losses, max(1, len(losses) // 50)), color="#24506b", linewidth=1.6)
        left.set_yscale("log")
    left.set(title="Loss", xlabel="step")
    for axes, (title, metrics) in zip(others, panels.items(), strict=True):
        shown = [name for name in metrics if name in history.recall]
        for name in shown:
            steps, values = zip(*history.recall[name], strict=True)
            label = name.replace("_", " ")
            axes.plot(steps, values, marker="o", markersize=2.5, linewidth=1.3, label=label)
        axes.set(title=title, xlabel="step")
        found = [value for name in shown for _, value in history.recall[name]]
        if all(0.0 <= value <= 1.0 for value in found):  # shares
            axes.set(ylim=(-0.02, 1.02))
        if shown:
            axes.legend(frameon=False, fontsize=8)
    for axes in (left, *others):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    with atomic_file(path) as part:
        figure.savefig(part)
