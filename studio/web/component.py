"""Gradio components that our ES modules fill. Their templates are constants: they never hold user text."""

from __future__ import annotations

from typing import Final

import gradio as gr

_MODULES: Final = "/studio-assets/js"


def panel(module: str, *, elem_id: str, hidden: bool = False) -> gr.HTML:
    """An element that the function `mount` of an ES module fills. The module calls /api itself.

    A module that is `hidden`, behind a tab or below what is seen, is loaded when it is first shown.
    """
    target = 'element.querySelector(".studio-panel")'
    load = f'import("{_MODULES}/{module}.js").then((m) => m.mount({target}))'
    seen = f"new IntersectionObserver(([e], o) => e.isIntersecting && (o.disconnect(), {load}))"
    return gr.HTML(
        html_template='<div class="studio-panel"></div>',
        js_on_load=f"{seen}.observe({target})" if hidden else load,
        apply_default_css=False,
        elem_id=elem_id,
    )


def link() -> gr.HTML:
    """Tells the forms, by its event `input`, that the page has other values for them."""
    tell = "() => trigger('input')"
    return gr.HTML(
        html_template="<span></span>",
        js_on_load=f'import("{_MODULES}/forms/film-forms.js").then((m) => m.mount({tell}))',
        apply_default_css=False,
        visible="hidden",
    )
