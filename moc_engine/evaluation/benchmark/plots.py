"""A plot of a machine's results: growing stories, late shots, and denoising end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot

from moc_engine.evaluation.benchmark.report import Document, cases_of, machine_name, speedups
from moc_engine.files import atomic_file

MOC: Final = "#c8443a"
DENSE: Final = "#33404d"
CEILING: Final = "#9aa5ae"
CAPTURED: Final = "#3b7ea1"


def write_plot(document: Document, path: Path) -> None:
    """Writes the plot as a PNG."""
    with atomic_file(path) as part:
        draw(document).savefig(part, format="png", dpi=160)


def draw(document: Document) -> Plot:
    """Speed-up over dense attention by length of the story; beside it late shots, or denoising."""
    plot = Plot(figsize=(9.6, 4.2), layout="constrained")
    left, right = plot.subplots(1, 2)
    plot.suptitle(machine_name(document), fontsize=9, x=0.01, ha="left")
    _draw_growth(left, document)
    if cases_of(document, "late"):
        _draw_late(right, document)
    else:
        _draw_film(right, document)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9)
    return plot


def _draw_growth(axes: Axes, document: Document) -> None:
    axes.set_xlabel("Tokens of the story", fontsize=9)
    axes.set_ylabel("Times as fast as the fastest dense attention", fontsize=9)
    axes.axhline(1.0, color=DENSE, linewidth=1.2, label="dense")
    for captured, colour, name in (
        (False, MOC, "MoC, routing included"),
        (True, CAPTURED, "in a CUDA graph"),
    ):
        part = "growth" if cases_of(document, "growth") else "forward"
        points = speedups(document, captured=captured, part=part)
        if not points:
            continue
        tokens, faster, pairs = zip(*points, strict=True)
        if not captured:
            axes.plot(tokens, pairs, color=CEILING, linestyle="--", label="times fewer pairs")
        axes.plot(tokens, faster, color=colour, marker="o", label=name, zorder=3)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(tokens, [f"{size / 1024:.0f}k" for size in tokens], fontsize=8)
        axes.yaxis.set_major_formatter("{x:g}")


def _draw_late(axes: Axes, document: Document) -> None:
    for case in cases_of(document, "late").values():
        shots = [point["shot"] for point in case["points"]]
        longer = [point["longer"]["median"] for point in case["points"]]
        low = [point["longer"]["low"] for point in case["points"]]
        high = [point["longer"]["high"] for point in case["points"]]
        axes.set_xlabel("Number of the shot in the film", fontsize=9)
        axes.set_ylabel(f"Time to denoise it, times that of shot {case['early']}", fontsize=9)
        axes.axhline(1.0, color=DENSE, linewidth=1.2, label=f"shot {case['early']}")
        axes.axhline(1.1, color=CEILING, linestyle="--", label="10% more")
        axes.fill_between(shots, low, high, color=MOC, alpha=0.15, linewidth=0)
        axes.plot(shots, longer, color=MOC, marker="o", label="MoC, earlier shots in memory")
        axes.set_xscale("log", base=2)
        axes.set_xticks(shots, [str(shot) for shot in shots], fontsize=8)
        axes.set_ylim(0.0, max(1.5, 1.1 * max(high)))


def _draw_film(axes: Axes, document: Document) -> None:
    axes.set_xlabel("Number of the shot in the story", fontsize=9)
    axes.set_ylabel("One pass of the transformer, ms", fontsize=9)
    for case in cases_of(document, "film").values():
        points = [point for point in case["points"] if "faster" in point]
        shots = [point["shot"] for point in points]
        for name, colour, field in (
            ("dense over all shots", DENSE, "dense_milliseconds"),
            ("MoC", MOC, "milliseconds"),
        ):
            times = [point[field]["median"] for point in points]
            axes.plot(shots, times, color=colour, marker="o", label=name)
        axes.set_xticks(shots, [str(shot) for shot in shots], fontsize=8)
        axes.set_ylim(bottom=0.0)
