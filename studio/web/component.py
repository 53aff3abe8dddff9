"""Components of ours: empty elements that our ES modules fill. Their templates are constant: no text of a
person's ever enters one."""

from __future__ import annotations

from typing import Final

import gradio as gr

_MODULES: Final = "/studio-assets/js"


def panel(module: str, *, elem_id: str, hidden: bool = False) -> gr.HTML:
    """A place on the page, filled by the function `mount` of a module, which talks to /api itself.

    What is `hidden` at first, behind a tab, is loaded when it is first looked at.
    """
    place = 'element.querySelector(".studio-panel")'
    load = f'import("{_MODULES}/{module}.js").then((m) => m.mount({place}))'
    seen = f"new IntersectionObserver(([e], o) => e.isIntersecting && (o.disconnect(), {load}))"
    return gr.HTML(
        html_template='<div class="studio-panel"></div>',
        js_on_load=f"{seen}.observe({place})" if hidden else load,
        apply_default_css=False,
        elem_id=elem_id,
    )


def link() -> gr.HTML:
    """Tells Python which project the page shows and at which revision; and what changed of its film."""
    tell = "(value) => { props.value = value; if (value.changed.length) trigger('input'); }"
    return gr.HTML(
        value={"project": "", "revision": -1, "film": {}, "changed": []},
        html_template="<span></span>",
        js_on_load=f'import("{_MODULES}/forms/film-forms.js").then((m) => m.mount({tell}))',
        apply_default_css=False,
        visible="hidden",
    )
