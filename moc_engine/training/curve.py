"""The picture of a run: its loss, and how well the model remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from moc_engine.files import whole_files

Point = tuple[int, float]


@dataclass(kw_only=True)
class History:
    """What a run has shown so far: (step, value) points; recall by metric."""

    loss: list[Point] = field(default_factory=list)
    recall: dict[str, list[Point]] = field(default_factory=dict)

    def add_recall(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.recall.setdefault(name, []).append((step, value))


def smooth(values: Sequence[float], window: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means over the last `window` values, fewer at the beginning."""
    sums = np.cumsum(np.concatenate(([0.0], np.asarray(values, dtype=np.float64))))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - window)
    means: np.ndarray[tuple[int], np.dtype[np.float64]] = (sums[ends] - sums[begins]) / (ends - begins)
    return means


def draw(history: History, path: Path) -> None:
    """Writes loss and recall over the steps as a PNG; the picture is replaced at once."""
    figure = Figure(figsize=(9.0, 4.0), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    if history.loss:
        steps, losses = zip(*history.loss, strict=True)
        left.plot(steps, losses, color="#c9d3dc", linewidth=0.6)
        left.plot(steps, smooth(losses, max(1, len(losses) // 50)), color="#24506b", linewidth=1.6)
        left.set_yscale("log")
    left.set(title="Loss", xlabel="step")
    for name, points in history.recall.items():
        right.plot(*zip(*points, strict=True), marker="o", markersize=2.5, linewidth=1.3, label=name)
    right.set(title="Recall of what captions leave unsaid", xlabel="step", ylim=(-0.02, 1.02))
    if history.recall:
        right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    with whole_files(path) as (part,):
        figure.savefig(part)
