"""The page: bar at the top, forms, player and panels in the middle, timeline at the bottom."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gradio as gr

from studio.web.component import link, panel
from studio.web.forms import forms

STYLES: Final = (
    "theme",
    "page",
    "parts",
    "toolbar",
    "player",
    "panels",
    "timeline",
    "keyboard",
    "forms",
    "inspector",
)
"""The style sheets of static/css in the order in which they are loaded."""

BLOCKS: Final[dict[str, Any]] = {
    "theme": gr.themes.Base(
        primary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.zinc,
        font=["Inter", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ),
    "head": "".join(f'<link rel="stylesheet" href="/studio-assets/css/{name}.css">' for name in STYLES)
    + '<script type="module" src="/studio-assets/js/keyboard/keyboard.js"></script>',
    "run_history": False,
    "footer_links": [],
    "ssr_mode": False,
}
"""Options for mounting the page."""


def page_template() -> str:
    """The HTML template of Gradio's page, with Jinja's `{{ expressions }}`."""
    (folder,) = gr.__path__
    return (Path(folder) / "templates" / "frontend" / "index.html").read_text(encoding="utf-8")


def window() -> gr.Blocks:
    """The page as Gradio blocks."""
    blocks: gr.Blocks = gr.Blocks(title="MoC Studio", analytics_enabled=False, fill_width=True)
    with blocks:
        shown = link()
        panel("toolbar/toolbar", elem_id="bar")
        with gr.Row(elem_id="middle"):
            with gr.Column(elem_id="left", min_width=0):
                forms(shown)
            with gr.Column(elem_id="centre", min_width=0):
                panel("player/player", elem_id="player")
            with gr.Column(elem_id="right", min_width=0), gr.Tabs():
                with gr.Tab("Shot", elem_id="shot-tab"):
                    panel("shot/shot", elem_id="shot")
                with gr.Tab("Takes", elem_id="takes-tab"):
                    panel("takes/takes", elem_id="takes", hidden=True)
                with gr.Tab("Routing", elem_id="routing-tab"):
                    panel("inspector/inspector", elem_id="routing", hidden=True)
                with gr.Tab("Queue", elem_id="queue-tab"):
                    panel("queue/queue", elem_id="queue", hidden=True)
                with gr.Tab("Models", elem_id="models-tab"):
                    panel("models/models", elem_id="models", hidden=True)
        panel("timeline/timeline", elem_id="timeline")
    return blocks
