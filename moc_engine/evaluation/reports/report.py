"""Plots and a self-contained HTML page of the results of all experiments."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot

from moc_engine.config import RoutingConfig
from moc_engine.evaluation.generation.methods import Method
from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.measures.scores import Summary
from moc_engine.evaluation.questions import following, motion, recall
from moc_engine.evaluation.reports.experiments import Experiment, Group
from moc_engine.files import atomic_file

COLOURS: Final = {
    "moc": "#c8443a",
    "dense": "#33404d",
    "window": "#3b7ea1",
    "radial": "#5aa27c",
    "random": "#9a7fb8",
    "packed": "#d39a2d",
    "moba": "#7a4f9a",
    "adaspa": "#1f8f8a",
    "moga": "#a8577e",
    "vorta": "#6b7d2a",
    "storymem": "#b5651d",
    "named-cast": "#c76ba0",
    "own": "#9aa5ae",
}
NAMES: Final = {
    "moc": "MoC",
    "dense": "dense",
    "window": "latest shots",
    "radial": "radial",
    "random": "random",
    "packed": "packed",
    "moba": "MoBA",
    "adaspa": "AdaSpa",
    "moga": "MoGA",
    "vorta": "VORTA",
    "storymem": "first and last keyframes",
    "named-cast": "takes with the same cast",
    "own": "own shot only",
}
ABSENCES: Final = ((1, 1), (2, 2), (3, 4), (5, 6), (7, 9), (10, 14), (15, 31))
LENGTH_COLOURS: Final = {32: "#3b7ea1", 64: "#5aa27c", 128: "#d39a2d", 256: "#c8443a"}
COSTS: Final = ("pruned", "pairs", "seconds", "gpu_seconds", "remembered_mib", "read_mib", "working_mib")
METRICS: Final = (*recall.METRICS, *following.METRICS, *motion.METRICS, *COSTS)


@dataclass(frozen=True, kw_only=True)
class Result:
    """An experiment with the summary of each of its metrics."""

    experiment: Experiment
    figures: Mapping[str, Summary]

    @property
    def group(self) -> Group:
        return self.experiment.group

    @property
    def router(self) -> Method:
        return self.experiment.settings.generation.router


def write(results: Sequence[Result], folder: Path, *, model: str) -> Path:
    """Writes the plots and `report.html` into a folder; returns the page's path."""
    plots = {
        "by-budget": by_budget(results),
        "by-absence": by_absence(results),
        "by-length": by_length(results),
    }
    for name, plot in plots.items():
        with atomic_file(folder / f"{name}.png") as part:
            plot.savefig(part, format="png", dpi=160)
    with atomic_file(folder / "report.html") as part:
        part.write_text(page(results, list(plots.values()), model=model), encoding="utf-8")
    return folder / "report.html"


def by_budget(results: Sequence[Result]) -> Plot:
    """Plots recall of undescribed looks against the share of history pairs attended to."""
    plot, axes = _axes("Share of history pairs attended to", "Undescribed looks recalled")
    budgets = [result for result in results if result.group == "budget" and _recall(result) is not None]
    for router in _routers(budgets):
        points = sorted(
            (1.0 - result.figures["pruned"].mean, _recall(result) or 0.0)
            for result in budgets
            if result.router == router
        )
        if router == "own":
            axes.axhline(points[0][1], color=_colour(router), linestyle=":", label=NAMES.get(router, router))
        else:
            _draw(axes, router, points)
    if budgets:
        axes.set_xlim(0.015, 1.2)
        axes.set_xscale("log")
        axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5, 1.0], ["2%", "5%", "10%", "20%", "50%", "100%"])
        axes.minorticks_off()
        plot.legend(loc="outside right center", frameon=False)
    return plot


def by_absence(results: Sequence[Result]) -> Plot:
    """Plots recall of undescribed looks against the number of shots since a character was last seen."""
    plot, axes = _axes("Shots since the character was last seen", "Undescribed looks recalled")
    absences = [result for result in results if result.group == "absence"]
    for router in _routers(absences):
        result = next(result for result in absences if result.router == router)
        shares = [_recall_within(result, *absence) for absence in ABSENCES]
        points = [(i, share) for i, share in enumerate(shares) if share is not None]
        if points:
            _draw(axes, router, points)
    axes.set_xticks(range(len(ABSENCES)), _absence_labels())
    if absences:
        plot.legend(loc="outside right center", frameon=False)
    return plot


def by_length(results: Sequence[Result]) -> Plot:
    """Plots recall against absence, and the time of a shot against the length of the story, with and without
    the outer loop over shots."""
    plot = Plot(figsize=(11.0, 4.2), layout="constrained")
    axes, times = plot.subplots(1, 2)
    _prepare(axes, "Shots since the character was last seen", "Undescribed looks recalled")
    _with_guessing(axes)
    _prepare(times, "Shots of the story", "CPU seconds a shot")
    growing = [result for result in results if result.group == "outer" and "seconds" in result.figures]
    for outer in (False, True):
        line = "--" if outer else "-"
        way = "outer loop" if outer else "no outer loop"
        of_way = [r for r in growing if (_routing(r).outer_shots is not None) is outer]
        seconds = [(_shots(r), r.figures["seconds"].mean / _shots(r)) for r in of_way]
        if seconds:
            times.plot(*zip(*seconds, strict=True), line, marker="o", color="#33404d", label=way)
        for result in of_way:
            shares = [_recall_within(result, *absence) for absence in ABSENCES]
            points = [(i, share) for i, share in enumerate(shares) if share is not None]
            if points:
                colour = LENGTH_COLOURS[_shots(result)]
                label = f"{_shots(result)} shots, {way}"
                axes.plot(*zip(*points, strict=True), line, marker="o", color=colour, label=label)
    axes.set_xticks(range(len(ABSENCES)), _absence_labels())
    if growing:
        times.set_ylim(bottom=0.0)
        times.legend(frameon=False)
        axes.legend(frameon=False, fontsize="x-small")
    return plot


def _routing(result: Result) -> RoutingConfig:
    return result.experiment.settings.generation.routing


def _shots(result: Result) -> int:
    return result.experiment.settings.shots


def _absence_labels() -> list[str]:
    return [f"{low}" if low == high else f"{low}–{high}" for low, high in ABSENCES]


def _draw(axes: Axes, router: str, points: Sequence[tuple[float, float]]) -> None:
    """Draws a router's line; MoC's is on top, as others may coincide with it."""
    top = 3.0 if router == "moc" else 2.0
    axes.plot(
        *zip(*points, strict=True),
        marker="o",
        color=_colour(router),
        label=NAMES.get(router, router),
        zorder=top,
    )


def _axes(x: str, y: str) -> tuple[Plot, Axes]:
    plot = Plot(figsize=(7.0, 4.2), layout="constrained")
    axes = plot.subplots()
    _prepare(axes, x, y)
    _with_guessing(axes)
    return plot, axes


def _prepare(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _with_guessing(axes: Axes) -> None:
    """Shares of 0 to 1, and a line at what guessing gives."""
    axes.set_ylim(-0.02, 1.03)
    axes.axhline(recall.CHANCE, color="#b9b08f", linestyle="--", linewidth=1.0, label="uniform guessing")


def _routers(results: Sequence[Result]) -> list[str]:
    present = {result.router for result in results}
    return [*(router for router in COLOURS if router in present), *sorted(present - COLOURS.keys())]


def _colour(router: str) -> str:
    """The colour of a method's line; plug-ins' routers share one."""
    return COLOURS.get(router, "#444444")


def _recall(result: Result) -> float | None:
    """The mean over undescribed shapes and accessories."""
    found = [result.figures[name] for name in ("shape", "accessory") if name in result.figures]
    count = sum(figure.count for figure in found)
    return sum(figure.mean * figure.count for figure in found) / count if count else None


def _recall_within(result: Result, low: int, high: int) -> float | None:
    """The same, for absences of `low` to `high` shots."""
    parts = [
        part
        for name in ("shape", "accessory")
        if name in result.figures
        for distance, part in result.figures[name].by_distance.items()
        if low <= distance <= high
    ]
    count = sum(number for _, number in parts)
    return sum(mean * number for mean, number in parts) / count if count else None


def page(results: Sequence[Result], plots: Sequence[Plot], *, model: str) -> str:
    """The report as one HTML page, including its plots."""
    body = [
        "<h1>Memory of the model</h1>",
        f"<p>Model <code>{escape(model)}</code>. Every shot is generated in order from its caption, with "
        "the model's own earlier takes as context, on stories held out from training. Intervals are 95%, by "
        "resampling whole stories; for scores of right or wrong, one all-right and one all-wrong story are "
        "added. Colour, tint, layout and slip are errors: lower is better. Roughness is best at 1.</p>",
        "<p>All routers use the same weights; the weights that come with the engine were trained with MoC’s "
        f"selection. Uniform guessing is right in {recall.CHANCE:.3f} of all cases; “own shot only” is the "
        "score without any access to the past.</p>",
        "<p>Seconds are those to generate a story, of a processor and of a GPU where there is one. MiB are "
        "those of one story at its last shot: “remembered” are all keys, values and mean keys of earlier "
        "shots, as the method keeps them; “read” the keys and values that any token of a denoising step "
        "attends to; “working” the most that such a step holds beside weights and memories, copies of "
        "memories included.</p>",
        *(f"<figure>{_svg(plot, name=f'plot{i}')}</figure>" for i, plot in enumerate(plots)),
    ]
    titles = {
        "budget": "Routers at equal budgets of attended history",
        "absence": "Long stories with long absences",
        "outer": "Growing stories, with and without the outer loop over shots",
        "ablation": "Ablations",
        "retrained": "Other training",
        "reading": "Weights read in another way than they were trained",
        "trained": "Methods with weights of their own",
        "trained-long": "Methods with weights of their own: long absences",
    }
    for group, title in titles.items():
        rows = [result for result in results if result.group == group]
        if rows:
            body += [
                f"<h2>{title}</h2>",
                *(
                    f"<p>{escape(size)}</p>"
                    for size in dict.fromkeys(_size(r.experiment.settings) for r in rows)
                ),
                *_table(rows),
            ]
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>Memory of the model</title>"
    return "".join((head, _STYLE, *body, "</html>\n"))


def _size(settings: EvaluationSettings) -> str:
    seconds = settings.tokens / 2
    return f"{settings.stories} stories of {settings.shots} shots of {seconds:g} s, casts of {settings.cast}."


def _table(rows: Sequence[Result]) -> Iterator[str]:
    shown = [name for name in METRICS if any(name in row.figures for row in rows)]
    yield "<div><table><tr><th></th>"
    yield from (f"<th>{_heading(name)}</th>" for name in shown)
    yield "</tr>"
    for row in rows:
        yield f"<tr><th>{escape(row.experiment.name)}</th>"
        for name in shown:
            figure = row.figures.get(name)
            yield (
                "<td>–</td>"
                if figure is None
                else (f"<td>{figure.mean:.3f}<small>{figure.low:.3f}–{figure.high:.3f}</small></td>")
            )
        yield "</tr>"
    yield "</table></div>"


def _heading(metric: str) -> str:
    return metric.removesuffix("_mib").replace("_", " ") + (" MiB" if metric.endswith("_mib") else "")


def _svg(plot: Plot, *, name: str) -> str:
    """The plot as SVG; `name` makes its ids unique on the page."""
    text = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        plot.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for kind in ('id="', 'href="#', "url(#"):
        svg = svg.replace(kind, f"{kind}{name}-")
    return svg


_STYLE: Final = """<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
figure { background: #fff; border-radius: 8px; display: inline-block; margin: 0 1rem 1rem 0 }
figure svg { max-width: 100%; height: auto }
div { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap }
tr > :first-child { text-align: left; position: sticky; left: 0; background: Canvas }
small { display: block; opacity: .6 }
</style>"""
