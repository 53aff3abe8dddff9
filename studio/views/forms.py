"""The forms beside the player: the film, its cast, its settings. Each field is an edit of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.edits import Edit, SetCast, SetFilm, SetSettings
from studio.errors import BadStoryboard, StudioError
from studio.service import Service
from studio.storyboard import CastMember, Settings, Storyboard, parse_size

SIZES = ["640x360", "1280x720", "1920x1080", "720x1280", "1080x1080"]
_REFRESH = "() => window.dispatchEvent(new Event('studio:refresh'))"

Fill = Callable[[Storyboard], Sequence[Any]]


class Forms:
    """The forms, and how they follow the project that `link` names."""

    def __init__(self, service: Service, link: gr.HTML) -> None:
        self._service = service
        self._link = link
        with gr.Accordion("Film", open=True, elem_classes="form"):
            title = gr.Textbox(label="Title", max_length=200, elem_id="film-title")
            style = gr.Textbox(
                label="Style",
                info="every shot inherits it",
                placeholder="warm evening light",
                lines=2,
                elem_id="film-style",
            )
            with gr.Row():
                size = gr.Dropdown(SIZES, label="Size", allow_custom_value=True, elem_id="film-size")
                fps = gr.Number(label="Frames per second", minimum=1, maximum=60, elem_id="film-fps")
            seed = gr.Number(label="Seed", precision=0, minimum=0, elem_id="film-seed")
            said = gr.Markdown(elem_classes="form-error")
        fields: list[tuple[Any, Callable[[Any], Edit]]] = [
            (title, lambda value: SetFilm(title=str(value))),
            (style, lambda value: SetFilm(style=str(value or ""))),
            (size, lambda value: SetFilm(size=parse_size(str(value)))),
            (fps, lambda value: SetFilm(fps=_number(value, "fps"))),
            (seed, lambda value: SetFilm(seed=_whole(value, "seed"))),
        ]
        for field, make in fields:
            self._save(field, make, said)

        with gr.Accordion("Cast", open=True, elem_classes="form"):
            cast = gr.Textbox(
                label="Name: look",
                info="one a line; a look left out is decided by the first appearance",
                placeholder="Mira: a red round creature with a top hat\nOtto",
                lines=4,
                max_lines=10,
                elem_id="cast-list",
            )
            cast_said = gr.Markdown(elem_classes="form-error")
        self._save(cast, lambda value: SetCast(cast=_cast(str(value or ""))), cast_said)

        with gr.Accordion("Settings", open=False, elem_classes="form"):
            model = gr.Textbox(label="Model", placeholder="embedded", info="a folder or a name on the hub")
            with gr.Row():
                steps = gr.Number(label="Steps", precision=0, info="empty: the model's own")
                guidance = gr.Number(label="Guidance", info="empty: the model's own")
            with gr.Row():
                top_k = gr.Number(
                    label="Chunks per token", precision=0, info="of the past; empty: the model's own"
                )
                worth = gr.Slider(
                    0, 1, step=0.05, label="Re-render from", info="share of a shot's context that changed"
                )
            looks = gr.Radio(
                [("in the first shot that names them", "first"), ("in every shot", "every")],
                label="Looks are told",
            )
            settings_said = gr.Markdown(elem_classes="form-error")
        self._settings(
            {
                "model": model,
                "steps": steps,
                "guidance": guidance,
                "top_k": top_k,
                "worth": worth,
                "looks": looks,
            },
            settings_said,
        )
        self._follow([title, style, size, fps, seed, cast, model, steps, guidance, top_k, worth, looks])

    def _follow(self, fields: list[Any]) -> None:
        """Lets the fields show the project that the page shows."""

        def fill(link: dict[str, Any]) -> list[Any]:
            if not link["project"]:
                return [gr.skip()] * len(fields)
            try:
                board = self._service.storyboard(link["project"])
            except StudioError:
                return [gr.skip()] * len(fields)
            chosen = board.settings
            return [
                board.title,
                board.style,
                f"{board.size[0]}x{board.size[1]}",
                board.fps,
                board.seed,
                "\n".join(f"{m.name}: {m.look}" if m.look else m.name for m in board.cast),
                chosen.model or "",
                chosen.steps,
                chosen.guidance,
                chosen.top_k,
                chosen.worth,
                chosen.looks,
            ]

        self._link.change(
            fill, self._link, fields, show_progress="hidden", queue=False, api_visibility="private"
        )

    def _save(self, field: Any, make: Callable[[Any], Edit], said: gr.Markdown) -> None:
        """Makes an edit of what was typed into a field, once it is left or confirmed."""

        def save(value: Any, link: dict[str, Any]) -> str:
            return self._told(link, lambda: make(value))

        events = [getattr(field, name) for name in ("submit", "blur", "input") if hasattr(field, name)]
        chosen = events[:2] if isinstance(field, gr.Textbox | gr.Number) else events[-1:]
        for event in chosen:
            self._run(event, save, [field, self._link], said)

    def _settings(self, fields: dict[str, Any], said: gr.Markdown) -> None:
        def save(link: dict[str, Any], *values: Any) -> str:
            given = dict(zip(fields, values, strict=True))
            return self._told(link, lambda: SetSettings(settings=_settings_of(given)))

        for field in fields.values():
            event = field.blur if isinstance(field, gr.Textbox | gr.Number) else field.input
            self._run(event, save, [self._link, *fields.values()], said)

    def _run(self, event: Any, save: Callable[..., str], inputs: list[Any], said: gr.Markdown) -> None:
        event(save, inputs, said, show_progress="hidden", queue=False, api_visibility="private").then(
            None, None, None, js=_REFRESH
        )

    def _told(self, link: dict[str, Any], make: Callable[[], Edit]) -> str:
        """Carries an edit out on what the page shows; what is wrong with it, in words, or nothing."""
        if not link["project"]:
            return ""
        try:
            self._service.edit(link["project"], make(), link["revision"])
        except BadStoryboard as error:
            named = [str(part).replace("_", " ") for part in error.field if isinstance(part, str)]
            return f"⚠ {', '.join(named)}: {error}" if named else f"⚠ {error}"
        except StudioError as error:
            return f"⚠ {error}"
        return ""


def _settings_of(given: dict[str, Any]) -> Settings:
    return Settings(
        model=str(given["model"] or "").strip() or None,
        steps=None if given["steps"] is None else _whole(given["steps"], "steps"),
        guidance=None if given["guidance"] is None else _number(given["guidance"], "guidance"),
        top_k=None if given["top_k"] is None else _whole(given["top_k"], "chunks per token"),
        worth=float(given["worth"]),
        looks=given["looks"],
    )


def _cast(text: str) -> tuple[CastMember, ...]:
    """ "Mira: red" on a line of its own is Mira, who looks red."""
    members = []
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, look = (part.strip() for part in line.partition(":"))
        if not (name or look):
            continue
        try:
            members.append(CastMember(name=name, look=look or None))
        except BadStoryboard as error:
            raise BadStoryboard(f"{error} (line {number})", error.field) from error
    return tuple(members)


def _number(value: Any, name: str) -> float:
    if value is None:
        raise BadStoryboard("is empty", (name,))
    return float(value)


def _whole(value: Any, name: str) -> int:
    number = _number(value, name)
    if number != int(number):
        raise BadStoryboard(f"must be a whole number, got {number:g}", (name,))
    return int(number)
