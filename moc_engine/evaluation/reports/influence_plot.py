"""Plots how much shots changed without a context take, against that take's share in their traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot
from numpy.typing import NDArray

from moc_engine.evaluation.measures.correlation import Estimate
from moc_engine.evaluation.measures.predictors import CONTEXT_SHARE, LARGEST_SHOWN
from moc_engine.evaluation.questions.influence import Influence, Pair
from moc_engine.files import atomic_file

VISIBLE: Final = "#c8443a"
INVISIBLE: Final = "#9aa5ae"
MEDIAN: Final = "#33404d"
WINDOW: Final = 101
"""Number of neighbours, by share, that a running median is taken over."""

MIN_CHANGE: Final = 1e-5
"""Smaller changes are drawn at this value: the axis is logarithmic."""

Floats = NDArray[np.float64]


def write_plot(pairs: Sequence[Pair], found: Influence, path: Path, *, threshold: float) -> None:
    """Writes the plot as a PNG; `threshold` is the studio's threshold."""
    plot = draw(pairs, found, threshold=threshold)
    with atomic_file(path) as part:
        plot.savefig(part, format="png", dpi=160)


def draw(pairs: Sequence[Pair], found: Influence, *, threshold: float) -> Plot:
    """The change of the picture against the share of the shot, and of its part that drew most, side by
    side."""
    plot = Plot(figsize=(9.6, 4.2), layout="constrained")
    left, right = plot.subplots(1, 2, sharex=True, sharey=True)
    visible = np.array([pair.change.visible for pair in pairs])
    change = np.maximum([pair.change.pixels for pair in pairs], MIN_CHANGE)
    for axes, name, words in (
        (left, CONTEXT_SHARE, "Share of the take in the shot's context attention"),
        (right, LARGEST_SHOWN, "Largest such share of any one thing in the picture"),
    ):
        prediction = next(p for p in found.predictions if p.name == name)
        _draw(axes, np.array([pair.predicted[name] for pair in pairs]), change, visible)
        axes.set_title(
            f"Spearman {_format(prediction.pixels)} over all pairs\n"
            f"{_format(prediction.pixels_within)} within a shot",
            fontsize=9,
            loc="left",
        )
        axes.set_xlabel(words, fontsize=9)
    right.axvline(threshold, color=MEDIAN, linestyle=":", linewidth=1.2, label=f"threshold = {threshold:g}")
    left.set_ylabel("Change of the picture without the take (sRGB, 0–1)", fontsize=9)
    plot.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return plot


def running_quantiles(share: Floats, change: Floats, window: int = WINDOW) -> tuple[Floats, Floats]:
    """Ascending shares, and the quantiles .1, .5 and .9 (3, n) of the changes of their neighbours."""
    order = np.argsort(share, kind="stable")
    window = min(window, len(order))
    groups = np.lib.stride_tricks.sliding_window_view(order, window)
    quantiles: Floats = np.quantile(change[groups], (0.1, 0.5, 0.9), axis=1)
    return np.median(share[groups], axis=1), quantiles


def _draw(axes: Axes, share: Floats, change: Floats, visible: NDArray[np.bool_]) -> None:
    for which, colour, name in ((~visible, INVISIBLE, "not visible"), (visible, VISIBLE, "visibly changed")):
        axes.scatter(share[which], change[which], s=7, color=colour, alpha=0.45, linewidths=0, label=name)
    x, (low, middle, high) = running_quantiles(share, change)
    axes.fill_between(x, low, high, color=MEDIAN, alpha=0.15, linewidth=0, label="80%")
    axes.plot(x, middle, color=MEDIAN, label="running median")
    axes.set_yscale("log")
    axes.set_xlim(-0.01, 1.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _format(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"
