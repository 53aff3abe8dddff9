"""Fields of forms that save themselves: each one is an edit of its own, with its error below it.

The page saves and fills them (static/js/forms/form-fields.js), in one order with all other commands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import gradio as gr

from studio.service.field_edits import FIELDS

_SAVE: Final = """(value) => window.studioForms?.save(%(name)s, value, %(leaving)s)
  ?? "⚠ The page was still loading: confirm the field again."
"""
"""Saves a field; returns the message to show below it."""

_FILL: Final = "() => window.studioForms.values(%(names)s)"
"""The values of the fields, and the messages below them. It runs on the page, so that no answer of the server
can arrive after another project was opened."""


class FormFields:
    """The fields by name."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._messages: list[gr.Markdown] = []

    def text(self, name: str, label: str, **options: Any) -> None:
        """A field for a text."""
        self.field(name, gr.Textbox(label=label, elem_id=f"form-{name}", **options))

    def number(self, name: str, label: str, info: str) -> None:
        """A field for a number, which may be left empty."""
        self.text(name, label, info=info)

    def choice(self, name: str, label: str, words: Mapping[str, str], info: str) -> None:
        """A setting with few values, given with what they are called, or none of them for the model's own."""
        choices = [("the model's default", ""), *((said, value) for value, said in words.items())]
        self.field(name, gr.Dropdown(choices, label=label, info=info, elem_id=f"form-{name}"))

    def field(self, name: str, field: Any) -> None:
        """A field that is saved when it is left or confirmed; an error is shown below it."""
        assert name in FIELDS
        assert field.elem_id == f"form-{name}"
        self._fields[name] = field
        message = gr.Markdown(elem_classes="form-error")
        self._messages.append(message)
        events = [(field.input, False)]
        if isinstance(field, gr.Textbox):
            events = [(field.submit, False), (field.blur, True)]
        for event, leaving in events:
            event(
                None,
                field,
                message,
                js=_SAVE % {"name": json.dumps(name), "leaving": json.dumps(leaving)},
                show_progress="hidden",
                api_visibility="private",
            )

    def fill_when(self, link: gr.HTML) -> None:
        """Lets the fields that there are show what the page has for them, when `link` tells them to."""
        assert self._fields.keys() == FIELDS.keys()
        link.input(
            None,
            None,
            [*self._fields.values(), *self._messages],
            js=_FILL % {"names": json.dumps(list(self._fields))},
            show_progress="hidden",
            api_visibility="private",
        )
