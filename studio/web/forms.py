"""The forms beside the player: film, cast and settings. Each field is saved as an edit of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import gradio as gr

from moc_engine.config import policy_names
from studio.domain.edits.cast import SetCast, with_pictures_of
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.errors import BadStoryboard, StaleRevision, StudioError
from studio.domain.frame_rate import parse_rate, rate_in_words
from studio.domain.messages import message
from studio.domain.settings import Settings, parse_full_below
from studio.domain.storyboard import CastMember, Storyboard, parse_size
from studio.service.setting_words import POLICIES, POSITIONS, SCHEDULERS, STEP_CACHES, STORAGES
from studio.service.studio import Service
from studio.web.component import panel

SIZES: Final = ["640x360", "1280x720", "1920x1080", "720x1280", "1080x1080"]
_SAVED = """(message, project, link) => {
  window.dispatchEvent(new Event("studio:refresh"));
  return project === link.project ? message : "";
}"""
"""After a field was saved. A message about another project than the one that is open by now is dropped."""

_FILL = """(link, ...shown) => {
  const count = shown.length / 2;
  const changed = (index) => link.changed.includes(%s[index]);
  const values = shown.slice(0, count).map((value, index) => (changed(index) ? link.film[%s[index]] : value));
  const messages = shown.slice(count).map((message, index) => (changed(index) ? "" : message));
  return [...values, ...messages];
}"""
"""Shows the values that changed and drops the messages about their old ones. It runs on the page, so that no
answer of the server can arrive after another project was opened; fields that did not change stay as typed."""

Link = dict[str, Any]
"""What the page shows: `project`, `revision`, `film` (the values of the fields), and which `changed` last."""


class Forms:
    """The forms, which show the project that `link` names."""

    def __init__(self, service: Service, link: gr.HTML) -> None:
        self._service = service
        self._link = link
        self._fields: dict[str, Any] = {}
        self._messages: list[gr.Markdown] = []
        self._saved = gr.Textbox(visible="hidden")  # the project that was saved last
        with gr.Accordion("Film", open=True, elem_classes="form"):
            self._film("title", gr.Textbox(label="Title", max_length=200, elem_id="form-title"), str)
            self._film(
                "style",
                gr.Textbox(
                    label="Style",
                    info="Added to the caption of every shot",
                    placeholder="warm evening light",
                    lines=2,
                    elem_id="form-style",
                ),
                str,
            )
            self._film(
                "size",
                gr.Dropdown(SIZES, label="Size", allow_custom_value=True, elem_id="form-size"),
                parse_size,
            )
            self._film(
                "fps",
                gr.Textbox(label="Frames per second", max_length=20, elem_id="form-fps"),
                lambda value: parse_rate(str(value).replace(",", ".")),
            )
            self._film("seed", gr.Textbox(label="Seed", max_length=20, elem_id="form-seed"), _whole("seed"))

        with gr.Accordion("Cast", open=True, elem_classes="form"):
            cast = gr.Textbox(
                label="Name: look",
                info="One per line. Without a look, the first shot of the character decides it.",
                placeholder="Mira: a red round creature with a top hat\nOtto",
                lines=4,
                max_lines=10,
                elem_id="form-cast",
            )
            self._field("cast", cast, _cast_edit)
            panel("forms/cast-pictures", elem_id="cast-pictures", hidden=True)

        own = "Empty: the model's default"
        with gr.Accordion("Settings", open=False, elem_classes="form"):
            self._setting(
                "model",
                gr.Textbox(
                    label="Model",
                    placeholder="embedded",
                    info="One of this machine, a folder, a file, or a name on the model hub",
                    max_lines=1,
                    elem_id="form-model",
                ),
                _text,
            )
            self._setting(
                "negative_prompt",
                gr.Textbox(
                    label="Negative prompt",
                    info="What the pictures must not show. Empty: the model's default. Wan's is the Chinese "
                    "text that its authors render with: overexposed, static, deformed, and so on",
                    lines=2,
                    elem_id="form-negative_prompt",
                ),
                _text,
            )
            self._setting("steps", gr.Textbox(label="Steps", info=own, elem_id="form-steps"), _whole("steps"))
            self._setting(
                "guidance",
                gr.Textbox(
                    label="Guidance",
                    info=f"How closely the pictures follow the captions; 1: none. {own}",
                    elem_id="form-guidance",
                ),
                _number("guidance"),
            )
            self._setting(
                "rerender_threshold",
                gr.Slider(
                    0,
                    1,
                    step=0.05,
                    label="Re-render threshold",
                    info="A shot is outdated when at least this share of what it depends on has changed; "
                    "slightly outdated below that",
                ),
                float,
            )
            self._setting(
                "looks",
                gr.Radio(
                    [("in the first shot that names them", "first"), ("in every shot", "every")],
                    label="Describe looks",
                ),
                str,
            )
        self._model_options(own)
        self._memory(own)
        self._drafts()
        names = json.dumps(list(self._fields))
        shown = [*self._fields.values(), *self._messages]
        link.input(
            None,
            [link, *shown],
            shown,
            js=_FILL % (names, names),
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )

    def _model_options(self, own: str) -> None:
        """Settings of real models, some of which a model may not have: the page says which."""
        with gr.Accordion("Model options", open=False, elem_classes="form"):
            self._choice("scheduler", "Scheduler", SCHEDULERS, "The solver that denoises")
            self._setting(
                "shift",
                gr.Textbox(
                    label="Flow shift",
                    info=f"More than 1 spends more steps on the layout, fewer on detail. {own}",
                    elem_id="form-shift",
                ),
                _number("shift"),
            )
            self._setting(
                "guidance_2",
                gr.Textbox(
                    label="Guidance at low noise",
                    info="Of the second transformer, which finishes the detail. Empty: as above",
                    elem_id="form-guidance_2",
                ),
                _number("guidance_2"),
            )
            self._choice(
                "step_cache",
                "Step cache",
                STEP_CACHES,
                "Steps reuse what earlier ones computed: faster, less exact",
            )
            panel("forms/film-loras", elem_id="form-loras")

    def _memory(self, own: str) -> None:
        """Settings of what a shot uses of earlier ones."""
        with gr.Accordion("Memory", open=False, elem_classes="form"):
            self._setting(
                "top_k",
                gr.Textbox(
                    label="Chunks per token (top-k)",
                    info=f"How many pieces of earlier shots each token attends to. {own}",
                ),
                _whole("chunks per token"),
            )
            self._setting(
                "full_below",
                gr.Textbox(
                    label="Full attention below N tokens",
                    info="A shot with fewer tokens, its own and its context's, attends to all of them. "
                    f"{own}; 0: never; auto: where that is faster",
                ),
                lambda value: parse_full_below(str(value)),
            )
            policies = {name: POLICIES.get(name, name) for name in policy_names()}
            self._choice("memory_policy", "Remembered of each shot", policies, "More needs more memory")
            self._setting(
                "keyframes",
                gr.Textbox(
                    label="Latent frames per shot",
                    info=f"How many, where frames are picked; with Wan each is 4 frames of the film. {own}",
                    elem_id="form-keyframes",
                ),
                _whole("frames per shot"),
            )
            self._choice(
                "memory_storage",
                "Stored in",
                STORAGES,
                "How the remembered keys and values are kept",
            )
            self._choice(
                "positions",
                "Time of earlier shots",
                POSITIONS,
                "Where earlier shots stand in time for a model trained on single shots",
            )

    def _drafts(self) -> None:
        """Settings of the takes that a fast model renders before the film's."""
        with gr.Accordion("Drafts", open=False, elem_classes="form"):
            self._setting(
                "draft_model",
                gr.Textbox(
                    label="Model of drafts",
                    placeholder="embedded",
                    info="A fast one, to try the story before the film's model renders it",
                    max_lines=1,
                    elem_id="form-draft_model",
                ),
                _text,
            )
            panel("forms/film-guide", elem_id="form-guide")

    def _choice(self, name: str, label: str, words: Mapping[str, str], info: str) -> None:
        """A setting with few values, given with what they are called, or none of them for the model's own."""
        choices = [("the model's default", ""), *((said, value) for value, said in words.items())]
        dropdown = gr.Dropdown(choices, label=label, info=info, elem_id=f"form-{name}")
        self._setting(name, dropdown, str)

    def _film(self, name: str, field: Any, read: Callable[[Any], Any]) -> None:
        self._field(name, field, lambda board, value: SetFilm(**{name: read("" if value is None else value)}))

    def _setting(self, name: str, field: Any, read: Callable[[Any], Any]) -> None:
        def edit(board: Storyboard, value: Any) -> Edit:
            empty = value is None or value == ""
            settings = {key: getattr(board.settings, key) for key in Settings.__dataclass_fields__}
            return SetSettings(settings=Settings(**{**settings, name: None if empty else read(value)}))

        self._field(name, field, edit)

    def _field(self, name: str, field: Any, make: Callable[[Storyboard, Any], Edit]) -> None:
        """A field that is saved when it is left or confirmed; an error is shown below it."""
        self._fields[name] = field
        message = gr.Markdown(elem_classes="form-error")
        self._messages.append(message)

        def save(value: Any, link: Link) -> tuple[str, str]:
            return self._save(name, link, lambda board: make(board, value)), link["project"]

        events = [field.submit, field.blur] if isinstance(field, gr.Textbox) else [field.input]
        for event in events:
            event(
                save,
                [field, self._link],
                [message, self._saved],
                show_progress="hidden",
                queue=False,
                api_visibility="private",
            ).then(None, [message, self._saved, self._link], message, js=_SAVED)

    def _save(self, name: str, link: Link, make: Callable[[Storyboard], Edit]) -> str:
        """Applies the edit of a field; returns the error to show, or "".

        If the project was changed meanwhile, but not this field, the edit is applied to the new revision.
        """
        project, base = link["project"], link["revision"]
        if not project:
            return "⚠ The page was still loading: confirm the field again."
        try:
            board = self._service.projects.storyboard(project)
            edit = make(board)
            try:
                self._service.editing.edit(project, edit, base)
            except StaleRevision:
                if shown(board)[name] != link["film"][name]:
                    raise
                self._service.editing.edit(project, edit, self._service.projects.state(project).revision)
        except StudioError as error:
            return f"⚠ {error}"
        return ""


def shown(board: Storyboard) -> dict[str, Any]:
    """The values of the fields by name, as `film` in static/js/forms/film-forms.js has them."""
    settings = board.settings
    return {
        "title": board.title,
        "style": board.style,
        "size": f"{board.size[0]}x{board.size[1]}",
        "fps": rate_in_words(board.fps),
        "seed": str(board.seed),
        "cast": "\n".join(f"{m.name}: {m.look}" if m.look else m.name for m in board.cast),
        "model": settings.model or "",
        "steps": _shown(settings.steps),
        "guidance": _shown(settings.guidance),
        "top_k": _shown(settings.top_k),
        "full_below": "" if settings.full_below is None else str(settings.full_below),
        "rerender_threshold": settings.rerender_threshold,
        "looks": settings.looks,
        "negative_prompt": settings.negative_prompt or "",
        "scheduler": settings.scheduler or "",
        "shift": _shown(settings.shift),
        "guidance_2": _shown(settings.guidance_2),
        "step_cache": settings.step_cache or "",
        "memory_policy": settings.memory_policy or "",
        "keyframes": _shown(settings.keyframes),
        "memory_storage": settings.memory_storage or "",
        "positions": settings.positions or "",
        "draft_model": settings.draft_model or "",
    }


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:g}"


def _cast(text: str) -> tuple[CastMember, ...]:
    """Parses lines of the form "name: look"."""
    members = []
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, look = (part.strip() for part in line.partition(":"))
        if not (name or look):
            continue
        try:
            members.append(CastMember(name=name, look=look or None))
        except BadStoryboard as error:
            raise BadStoryboard(
                message("line-invalid", line=number, problem=error.message), error.field
            ) from error
    return tuple(members)


def _cast_edit(board: Storyboard, text: Any) -> Edit:
    """The cast that was typed, with the pictures that its members have."""
    return SetCast(cast=with_pictures_of(board.cast, _cast(str(text or ""))))


def _text(value: Any) -> str:
    return str(value).strip()


def _number(name: str) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            return float(str(value).strip().replace(",", "."))
        except ValueError as error:
            wrong = message("not-a-number", text=str(value)) if value else message("empty")
            raise BadStoryboard(wrong, (name,)) from error

    return read


def _whole(name: str) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = _number(name)(value)
        if number != int(number):
            raise BadStoryboard(message("not-whole", text=f"{number:g}"), (name,))
        return int(str(value).strip()) if str(value).strip().lstrip("+-").isdigit() else int(number)

    return read
