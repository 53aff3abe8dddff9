"""The shots that an edit names by id: found, changed, and counted in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from studio.domain.errors import BadStoryboard, Refused, StoryField
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.storyboard import Shot


def index_of(project: Project, shot: str) -> int:
    """The index of a shot. Raises `Refused` if it is gone."""
    index = project.index_of(shot)
    if index is None:
        raise Refused(message("shot-not-found"))
    return index


def all_there(project: Project, shots: Sequence[str]) -> frozenset[str]:
    """The ids as a set. Raises `Refused` if there is none, or a shot is gone."""
    for shot in shots:
        index_of(project, shot)
    if not shots:
        raise Refused(message("no-shot-selected"))
    return frozenset(shots)


def with_shot_changed(project: Project, shot: str, **fields: object) -> Project:
    """The project with these fields of a shot changed. Raises `Refused`, `BadStoryboard`."""
    index = index_of(project, shot)
    shots = project.board.shots
    new = checked_shot(index, lambda: replace(shots[index], **fields))  # type: ignore[arg-type]
    return project.with_shots((*shots[:index], new, *shots[index + 1 :]))


def checked_shot(index: int, make: Callable[[], Shot]) -> Shot:
    """Calls `make`; errors are about the shot at `index`."""
    try:
        return make()
    except BadStoryboard as error:
        outer: StoryField = ("shots", index)
        raise error.within(*outer) from error


def one_line(text: str) -> str:
    """The text on one line, with single spaces between words."""
    return " ".join(text.split())


def shots_in_words(project: Project, shots: Sequence[str]) -> str:
    """ "shot 3", "shots 3 and 4", "12 shots"."""
    indices = sorted(index + 1 for shot in shots if (index := project.index_of(shot)) is not None)
    match indices:
        case [one]:
            return f"shot {one}"
        case [*some, last] if 0 < len(some) < 4:
            return f"shots {', '.join(map(str, some))} and {last}"
        case _:
            return f"{len(indices)} shots"
