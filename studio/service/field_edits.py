"""The fields of the page's forms: what each changes, whatever the project has become since it was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from studio.domain.edits.cast import SetCast
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.errors import NotThere, StaleRevision, StudioError
from studio.domain.frame_rate import parse_rate
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.settings import parse_full_below
from studio.domain.storyboard import Storyboard, parse_size
from studio.service.editing import Editing
from studio.service.form_values import cast_of, negative_prompt_of, number, shown, text, whole
from studio.service.projects import Projects
from studio.service.state import ProjectState

MakeEdit = Callable[[Storyboard, Any], Edit]
"""The edit that gives a field of a storyboard a value as it was typed; it changes nothing else."""

TRIES: Final = 20
"""How often a field is tried to be saved while other edits come between."""


def _film(name: str, read: Callable[[Any], Any]) -> MakeEdit:
    """A field of the film, whose value `read` takes from what was typed."""
    return lambda board, value: SetFilm(**{name: read("" if value is None else value)})


def _setting(name: str, read: Callable[[Any], Any]) -> MakeEdit:
    """A setting, none where its field is empty."""

    def edit(board: Storyboard, value: Any) -> Edit:
        empty = value is None or value == ""
        changed: dict[str, Any] = {name: None if empty else read(value)}
        return SetSettings(settings=replace(board.settings, **changed))

    return edit


def _with_negative_prompt(board: Storyboard, words: str | None) -> Edit:
    return SetSettings(settings=replace(board.settings, negative_prompt=words))


FIELDS: Final[Mapping[str, MakeEdit]] = {
    "title": _film("title", str),
    "style": _film("style", str),
    "size": _film("size", lambda value: parse_size(str(value))),
    "fps": _film("fps", lambda value: parse_rate(str(value).replace(",", "."))),
    "seed": _film("seed", whole("seed")),
    "cast": lambda board, value: SetCast(cast=cast_of(str(value or ""), board)),
    "negative_prompt": lambda board, value: _with_negative_prompt(board, negative_prompt_of(value, board)),
    "no_negative_prompt": lambda board, on: _with_negative_prompt(board, "" if on else None),
    "full_below": _setting("full_below", lambda value: parse_full_below(str(value))),
    "rerender_threshold": _setting("rerender_threshold", number("re-render threshold")),
    **{name: _setting(name, text) for name in ("model", "draft_model")},
    **{name: _setting(name, number(name)) for name in ("guidance", "guidance_2", "shift")},
    "steps": _setting("steps", whole("steps")),
    "top_k": _setting("top_k", whole("chunks per token")),
    "keyframes": _setting("keyframes", whole("frames per shot")),
    **{
        name: _setting(name, str)
        for name in (
            "looks",
            "scheduler",
            "step_cache",
            "memory_policy",
            "memory_storage",
            "positions",
            "router",
            "context",
        )
    },
}
"""By name, as `shown` has their values."""


class FieldEdits:
    """Saves fields one by one, as they were typed."""

    def __init__(self, projects: Projects, editing: Editing) -> None:
        self._projects = projects
        self._editing = editing

    def save(self, project: str, name: str, value: Any, *, seen: Iterable[Any]) -> ProjectState:
        """Gives a field the value that was typed; returns the project afterwards.

        `seen` are the values that its page has shown or sent so far. Raises `StaleRevision` where the field
        has another one by now, so that it was changed elsewhere; whatever else was changed is kept. Raises
        `NotThere` if there is no such field, and `StudioError` for values that have no sense.
        """
        if name not in FIELDS:
            raise NotThere(message("field-unknown", field=name))
        known = (*seen, value)
        for _ in range(TRIES):
            board, base = self._projects.revised_storyboard(project)
            edit = FIELDS[name](board, value)
            if shown(board)[name] not in (*known, *_as_shown(name, board, known)):
                raise StaleRevision(message("project-changed"))
            try:
                return self._editing.edit(project, edit, base)
            except StaleRevision:
                continue
        raise StaleRevision(message("project-changed"))


def _as_shown(name: str, board: Storyboard, typed: Iterable[Any]) -> Iterator[Any]:
    """What the field shows once values are saved that were typed; those without sense are left out."""
    for value in typed:
        try:
            yield shown(FIELDS[name](board, value).apply(Project(board=board), {}).board)[name]
        except StudioError:
            continue
