"""The edit of one field of a form, on whatever the project has become since the field was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from studio.domain.edits.edit import Edit
from studio.domain.errors import StaleRevision, StudioError
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.storyboard import Storyboard
from studio.service.studio import Service
from studio.web.form_values import shown

MakeEdit = Callable[[Storyboard, Any], Edit]
"""The edit that gives a field of a storyboard a value as it was typed; it changes nothing else."""

TRIES: Final = 20
"""How often a field is tried to be saved while other edits come between."""


def save_field(
    service: Service, project: str, name: str, value: Any, *, seen: Iterable[Any], make: MakeEdit
) -> None:
    """Gives a field the value that was typed.

    `seen` are the values that its page has shown or sent so far. Raises `StaleRevision` where the field has
    another one by now, so that it was changed elsewhere; whatever else was changed is kept. Raises
    `StudioError` for values that have no sense.
    """
    known = (*seen, value)
    for _ in range(TRIES):
        board, base = service.projects.revised_storyboard(project)
        edit = make(board, value)
        if shown(board)[name] not in (*known, *_as_shown(name, board, known, make)):
            raise StaleRevision(message("project-changed"))
        try:
            service.editing.edit(project, edit, base)
        except StaleRevision:
            continue
        return
    raise StaleRevision(message("project-changed"))


def _as_shown(name: str, board: Storyboard, typed: Iterable[Any], make: MakeEdit) -> Iterator[Any]:
    """What the field shows once values are saved that were typed; those without sense are left out."""
    for value in typed:
        try:
            yield shown(make(board, value).apply(Project(board=board), {}).board)[name]
        except StudioError:
            continue
