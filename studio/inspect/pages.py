"""Figures as pages of their own, which hold all they need and load nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from moc_engine.trace.record import RoutingTrace
from studio.inspect.figures import Figure, take_figures
from studio.inspect.words import paragraph

_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:"
)
"""What a page of its own may load: nothing."""

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:40px auto;padding:0 24px;max-width:1100px;color:#23221f}"
    "h1{font-size:26px;margin:0 0 8px}h2{font-size:17px;margin:36px 0 4px}p{max-width:70ch;color:#55524c}"
)
_PAPER: Final[dict[str, Any]] = {
    "margin": {"l": 40, "t": 30, "r": 20, "b": 40},
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
    "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#55524c"},
    "colorway": ["#c25a1c", "#2f6f9f", "#4d8a4d", "#a5842a", "#a8423f", "#77736b"],
}
"""How figures lie on a page of their own."""


def take_page(title: str, trace: RoutingTrace, indices: Mapping[str, int]) -> str:
    """One take as a standalone page."""
    return standalone(title, take_figures(trace, indices), paragraph(trace, indices))


def standalone(title: str, figures: Mapping[str, Figure], words: str = "") -> str:
    """A page of its own that holds all it needs, plotly.js included; `words` stand above its figures."""
    from html import escape

    from plotly.io import to_html

    parts = [
        f"<h2>{escape(name)}</h2>{to_html(json.loads(json.dumps(coloured(figure))), **_html(nth == 0))}"
        for nth, (name, figure) in enumerate(figures.items())
    ]
    told = f"<p>{escape(words)}</p>" if words else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{told}{''.join(parts)}</html>"
    )


def coloured(figure: Figure) -> Figure:
    """The figure in colours for white paper."""
    scales = {
        "heat": [[0, "#fdf6ee"], [0.5, "#e8a06a"], [1, "#8f3a08"]],
        "change": [[0, "#2f6f9f"], [0.5, "#f7f5f1"], [1, "#c25a1c"]],
    }
    data = [
        {**trace, "colorscale": scales[trace["meta"]]} if trace["type"] == "heatmap" else trace
        for trace in figure["data"]
    ]
    lined = {
        name: {"gridcolor": "#eae7e1", "automargin": True, **axis}
        for name, axis in figure["layout"].items()
        if "axis" in name
    }
    return {"data": data, "layout": {**figure["layout"], **lined, **_PAPER}}


def _html(first: bool) -> dict[str, Any]:
    return {"full_html": False, "include_plotlyjs": first, "default_height": 480}
