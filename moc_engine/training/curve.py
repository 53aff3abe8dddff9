"""The history of a training run and its plot: the loss and the evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

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
    width = 13.0 / 3 * (1 + len(panels))
    figure = Figure(figsize=(width, 4.0), dpi=120)
    # of fixed margins: to work them out of all labels takes as long as the rest
    left, *others = figure.subplots(1, 1 + len(panels), squeeze=False)[0]
    figure.subplots_adjust(left=0.6 / width, right=1.0 - 0.15 / width, bottom=0.13, top=0.91, wspace=0.17)
    if history.loss:
        steps, losses = zip(*history.loss, strict=True)
        left.plot(steps, losses, color="#c9d3dc", linewidth=0.6)
        left.plot(steps, smooth(losses, max(1, len(losses) // 50)), color="#24506b", linewidth=1.6)
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        left.yaxis.set_minor_formatter(NullFormatter())
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
