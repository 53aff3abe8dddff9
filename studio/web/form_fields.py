"""Fields of forms that save themselves: each one is an edit of its own, with its error below it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.errors import StudioError
from studio.domain.storyboard import Storyboard
from studio.service.studio import Service
from studio.web.field_edits import MakeEdit, save_field

_SEND = """(value, link) => {
  const known = ((window.studioFields ??= {})[link.project] ??= {});
  const seen = known[%(name)s] ?? [link.film[%(name)s]];
  const untouched = %(leaving)s && String(value ?? "") === String(seen.at(-1) ?? "");
  if (!untouched) known[%(name)s] = [...seen.slice(-9), value];
  return [value, { ...link, seen, untouched }];
}"""
"""Before a field is saved: what it has shown or sent so far, and whether it was left as it was."""

_SAVED = """(message, project, link) => {
  window.dispatchEvent(new Event("studio:refresh"));
  if (project !== link.project) return "";
  if (message) window.studioFields[project][%(name)s] = [link.film[%(name)s]];
  return message;
}"""
"""After a field was saved. A message about another project than the one that is open by now is dropped. What
was refused can be sent again, by leaving the field too."""

_FILL = """(link, ...shown) => {
  const count = shown.length / 2;
  const known = ((window.studioFields ??= {})[link.project] ??= {});
  const changed = (index) => link.changed.includes(%(names)s[index]);
  const value = (shown, index) => (changed(index) ? link.film[%(names)s[index]] : shown);
  const values = shown.slice(0, count).map(value);
  const messages = shown.slice(count).map((message, index) => (changed(index) ? "" : message));
  for (const name of link.changed) known[name] = [link.film[name]];
  return [...values, ...messages];
}"""
"""Shows the values that changed and drops the messages about their old ones. It runs on the page, so that no
answer of the server can arrive after another project was opened; fields that did not change stay as typed."""

Link = dict[str, Any]
"""What the page shows: `project`, `revision`, `film` (the values of the fields), and which `changed` last. A
field that is sent adds the values that it was `seen` with, and whether it was left `untouched`."""


class FormFields:
    """The fields by name, which show the project that `link` names."""

    def __init__(self, service: Service, link: gr.HTML) -> None:
        self._service = service
        self._link = link
        self._fields: dict[str, Any] = {}
        self._messages: list[gr.Markdown] = []
        self._saved = gr.Textbox(visible="hidden")  # the project that was saved last

    def film(self, name: str, field: Any, read: Callable[[Any], Any]) -> None:
        """A field of the film, whose value `read` takes from what was typed."""
        self.field(name, field, lambda board, value: SetFilm(**{name: read("" if value is None else value)}))

    def setting(self, name: str, field: Any, read: Callable[[Any], Any]) -> None:
        """A setting, none where its field is empty."""

        def edit(board: Storyboard, value: Any) -> Edit:
            empty = value is None or value == ""
            changed: dict[str, Any] = {name: None if empty else read(value)}
            return SetSettings(settings=replace(board.settings, **changed))

        self.field(name, field, edit)

    def choice(self, name: str, label: str, words: Mapping[str, str], info: str) -> None:
        """A setting with few values, given with what they are called, or none of them for the model's own."""
        choices = [("the model's default", ""), *((said, value) for value, said in words.items())]
        self.setting(name, gr.Dropdown(choices, label=label, info=info, elem_id=f"form-{name}"), str)

    def field(self, name: str, field: Any, make: MakeEdit) -> None:
        """A field that is saved when it is left or confirmed; an error is shown below it."""
        self._fields[name] = field
        message = gr.Markdown(elem_classes="form-error")
        self._messages.append(message)

        def save(value: Any, link: Link) -> tuple[Any, Any]:
            if link["untouched"]:
                return gr.skip(), gr.skip()
            return self._save(name, value, link, make), link["project"]

        key, typed = json.dumps(name), isinstance(field, gr.Textbox)
        events = [(field.submit, False), (field.blur, True)] if typed else [(field.input, False)]
        for event, leaving in events:
            event(
                save,
                [field, self._link],
                [message, self._saved],
                show_progress="hidden",
                queue=False,
                trigger_mode="multiple",  # else it is dropped while an earlier one is being saved
                api_visibility="private",
                js=_SEND % {"name": key, "leaving": json.dumps(leaving)},
            ).then(None, [message, self._saved, self._link], message, js=_SAVED % {"name": key})

    def follow_page(self) -> None:
        """Lets the fields that there are show what the page tells of the project."""
        names = json.dumps(list(self._fields))
        fields = [*self._fields.values(), *self._messages]
        self._link.input(
            None,
            [self._link, *fields],
            fields,
            js=_FILL % {"names": names},
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )

    def _save(self, name: str, value: Any, link: Link, make: MakeEdit) -> str:
        """Saves a field; returns the error to show, or ""."""
        if not link["project"]:
            return "⚠ The page was still loading: confirm the field again."
        try:
            save_field(self._service, link["project"], name, value, seen=link["seen"], make=make)
        except StudioError as error:
            return f"⚠ {error}"
        return ""
