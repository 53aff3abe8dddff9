"""Plotly figures as plain data, without colours, which the page adds for its theme.

A heatmap's `meta` names its scale, "heat" or "change". Clicks come back as rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace.drift import Drift
from moc_engine.trace.record import RoutingTrace
from studio.inspect.difference import Difference
from studio.inspect.heads import Heads, heads_of, remembers
from studio.inspect.sources import Source, by_source, sources_of
from studio.inspect.story import StoryRow

Figure = dict[str, Any]
Floats = NDArray[np.float64]

FAINTEST: Final = 1e-4
"""The least share a logarithmic map tells from none."""

FAINT_CHANGE: Final = 0.05
"""Smaller changes are drawn faintly."""

_MOST_TICKS: Final = 24
_MOST_NAMED: Final = 20
_CHARACTERS: Final = 60
"""How many characters fit beside each other along an axis of a narrow page."""
_LONGEST: Final = 80


def story_figure(rows: Sequence[StoryRow]) -> Figure:
    """Shots × shots; beside it what stayed in the shot, and what went to takes no longer shown."""
    names = [str(row.index + 1) for row in rows]
    beside = {
        "own": ([row.own for row in rows], "Shot %{y} kept %{z:.1%} to itself"),
        "caption": ([row.captions for row in rows], "Shot %{y} gave %{z:.1%} to captions"),
        "else": (
            [row.elsewhere or None for row in rows],
            "Shot %{y}: %{z:.1%} went to takes no longer shown",
        ),
    }
    sides = [name for name, (shares, _) in beside.items() if name == "own" or any(shares)]
    main = {
        "type": "heatmap",
        "meta": "heat",
        "x": names,
        "y": names,
        "z": [[None if share is None else round(share, 5) for share in row.shares] for row in rows],
        "hovertemplate": "Shot %{y} gave %{z:.1%} of its attention to shot %{x}<extra></extra>",
        "hoverongaps": False,
        "showscale": False,
        "zmin": 0,
        "zmax": max((share or 0.0 for row in rows for share in row.shares), default=0.0) or 1.0,
        "xgap": 1,
        "ygap": 1,
    }
    side = [
        {
            "type": "heatmap",
            "meta": "heat",
            "x": [name],
            "y": names,
            "z": [[share] for share in beside[name][0]],
            "xaxis": "x2",
            "hovertemplate": f"{beside[name][1]}<extra></extra>",
            "hoverongaps": False,
            "showscale": False,
            "zmin": 0,
            "zmax": 1,
            "ygap": 1,
        }
        for name in sides
    ]
    split = 1 - (0.06 if len(sides) == 1 else 0.1) * len(sides) - 0.02
    layout = {
        "xaxis": _axis("remembered from shot", names, domain=[0, split], side="top"),
        "xaxis2": _axis("", sides, domain=[split + 0.02, 1], side="top"),
        "yaxis": _axis("shot", names, autorange="reversed"),
    }
    return {"data": [main, *side], "layout": layout}


def chunk_figure(query: Sequence[str], sources: Sequence[Source], shares: Floats, *, log: bool) -> Figure:
    """Parts of a shot × what they could look at; `shares` (Q, S)."""
    z = np.log10(np.maximum(shares, FAINTEST)) if log else shares
    x, y = _unique([source.label for source in sources]), _unique(query)
    trace: dict[str, Any] = {
        "type": "heatmap",
        "meta": "heat",
        "x": x,
        "y": y,
        "z": _rounded(z),
        "customdata": _rounded(shares),
        "hovertemplate": "%{y} ← %{x}: %{customdata:.2%}<extra></extra>",
        "colorbar": _scale(log),
    }
    if not log:
        trace |= {"zmin": 0, "zmax": float(shares.max(initial=0.0)) or 1.0}
    layout = {
        "xaxis": _sources_axis(x, sources),
        "yaxis": _axis("", y, autorange="reversed"),
    }
    return {"data": [trace], "layout": layout}


def difference_figure(found: Difference) -> Figure:
    """What the right take drew more or less than the left, parts × sources."""
    most = max(FAINT_CHANGE, float(np.abs(found.table).max(initial=0.0)))
    x, y = _unique([source.label for source in found.sources]), _unique(found.query)
    trace = {
        "type": "heatmap",
        "meta": "change",
        "x": x,
        "y": y,
        "z": _rounded(found.table),
        "zmin": -most,
        "zmax": most,
        "hovertemplate": "%{y} ← %{x}: %{z:+.2%}<extra></extra>",
        "colorbar": {"tickformat": "+.0%", "thickness": 10},
    }
    layout = {
        "xaxis": _sources_axis(x, found.sources),
        "yaxis": _axis("", y, autorange="reversed"),
    }
    return {"data": [trace], "layout": layout}


def head_figures(found: Heads) -> dict[str, Figure]:
    """By title: what leaves the shot, how far back it goes, how widely it spreads, how that moves."""
    layers = [str(nth + 1) for nth in range(len(found.past))]
    heads = [name.removeprefix("head ").removeprefix("heads ") for name in found.heads]

    def by_head(values: Floats, words: str, tick: str) -> Figure:
        trace = {
            "type": "heatmap",
            "meta": "heat",
            "x": heads,
            "y": layers,
            "z": _rounded(values),
            "hovertemplate": f"layer %{{y}}, head %{{x}}: {words}<extra></extra>",
            "hoverongaps": False,
            "colorbar": {"tickformat": tick, "thickness": 10},
            "xgap": 1,
            "ygap": 1,
        }
        axes = {"xaxis": _axis("head", heads), "yaxis": _axis("layer", layers, autorange="reversed")}
        return {"data": [trace], "layout": axes}

    spread = {
        "type": "bar",
        "orientation": "h",
        "y": layers,
        "x": _rounded(found.spread),
        "hovertemplate": "layer %{y}: %{x:.2f} bits<extra></extra>",
    }
    steps = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": list(found.step_groups),
            "y": _rounded(found.steps[:, nth]),
            "customdata": list(found.reused),
            "hovertemplate": "%{x}: %{y:.1%} to %{fullData.name}%{customdata}<extra></extra>",
        }
        for nth, name in enumerate(found.shots)
    ]
    return {
        "Looking back: the share that left the shot": by_head(found.past, "%{z:.1%}", ".0%"),
        "How far back, in shots": by_head(found.reach, "%{z:.1f} shots back", ".1f"),
        "How widely each layer looks: entropy, in bits": {
            "data": [spread],
            "layout": {"yaxis": _axis("layer", layers, autorange="reversed"), "xaxis": {"title": ""}},
        },
        "How the choice moves over the denoising steps": {
            "data": steps,
            "layout": {"yaxis": {"tickformat": ".0%", "rangemode": "tozero"}, "xaxis": {"type": "category"}},
        },
    }


def drift_figure(drifts: Sequence[Drift], shots: int) -> Figure:
    """How far each look is from what it should be, over the shots; 1 is what one sees at a glance."""
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": _plain(drift.name),
            "x": [appearance.index + 1 for appearance in drift.appearances],
            "y": [round(appearance.distance or 0.0, 4) for appearance in drift.appearances],
            "hovertemplate": "%{fullData.name} in shot %{x}: %{y:.2f}<extra></extra>",
        }
        for drift in drifts
    ]
    limit = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": {"dash": "dot"}}
    most = max((a.distance or 0.0 for drift in drifts for a in drift.appearances), default=0.0)
    layout = {
        "xaxis": {"title": {"text": "shot"}, "dtick": max(1, shots // 16), "range": [0.5, shots + 0.5]},
        "yaxis": {"title": {"text": ""}, "range": [-0.05, max(1.15, 1.1 * most)]},
        "shapes": [limit],
        "showlegend": True,  # of one line too: it tells whose
    }
    return {"data": lines, "layout": layout}


def take_figures(trace: RoutingTrace, indices: Mapping[str, int]) -> dict[str, Figure]:
    """All figures of one take by title; `indices` are those of the shots that show each take."""
    sources = sources_of(trace, indices)
    shares = by_source(trace.by_query(), sources)
    names = [chunk.name for chunk in trace.query]
    chunks = chunk_figure(names, sources, shares, log=True)
    heads = head_figures(heads_of(trace, indices)) if remembers(trace) else {}
    return {"What each part looked at": chunks, **heads}


def _axis(title: str, names: Sequence[str], **more: Any) -> dict[str, Any]:
    every = max(1, -(-len(names) // _MOST_TICKS))
    ticks = {} if "tickvals" in more else {"tickvals": list(names[::every])}
    return {
        "title": {"text": title},
        "type": "category",
        "showgrid": False,
        "zeroline": False,
        **ticks,
        **more,
    }


def _sources_axis(names: Sequence[str], sources: Sequence[Source]) -> dict[str, Any]:
    """Few are named one by one, many by the shots they belong to, until somebody zooms in."""
    if len(sources) <= _MOST_NAMED:
        return _axis("", names, side="top", tickvals=list(names), tickangle=-40)
    middles = _middles(sources)
    return _axis(
        "",
        names,
        side="top",
        tickvals=[names[at] for at in middles],
        ticktext=list(middles.values()),
        tickangle=0,
    )


def _middles(sources: Sequence[Source]) -> dict[int, str]:
    """The middle of the sources of each shot, and what to call it, without names that would touch."""
    runs = [
        (words, [at for at, _ in run]) for words, run in groupby(enumerate(sources), lambda x: _group(x[1]))
    ]
    column = _CHARACTERS / len(sources)
    middles: dict[int, str] = {}
    told: set[str] = set()
    free = -math.inf
    for words, places in runs:
        middle = places[len(places) // 2]
        begins = (middle + 0.5) * column - len(words) / 2
        if words not in told and begins >= free:
            middles[middle] = words
            told.add(words)
            free = begins + len(words) + 1
    return middles


def _group(source: Source) -> str:
    """The number of the shot that a source belongs to, "–" for none that is shown; "own" and "caption"."""
    if source.kind == "history":
        return "–" if source.index is None else str(source.index + 1)
    return "own" if source.kind == "own" else "caption"


def _scale(log: bool) -> dict[str, Any]:
    if not log:
        return {"tickformat": ".0%", "thickness": 10}
    return {"tickvals": [-4, -3, -2, -1, 0], "ticktext": ["0", "0.1%", "1%", "10%", "100%"], "thickness": 10}


def _unique(labels: Sequence[str]) -> list[str]:
    """Plotly draws equal labels of an axis as one, so repeated labels get an invisible mark."""
    seen: dict[str, int] = {}
    told = []
    for label in map(_plain, labels):
        seen[label] = seen.get(label, -1) + 1
        told.append(label + "​" * seen[label])
    return told


def _plain(name: str) -> str:
    """A name that Plotly shows as it is: it reads links and markup in texts, and names come from anywhere."""
    return name[:_LONGEST].replace("&", "&amp;").replace("<", "&lt;")


def _rounded(values: Floats) -> list[Any]:
    """As JSON: five digits, None where there is no number."""
    rounded = np.round(values, 5)
    return np.where(np.isnan(rounded), None, rounded).tolist()  # type: ignore[no-any-return,call-overload]
