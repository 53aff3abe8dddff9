"""The cast of a storyboard that lists none: the names in its captions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from moc_engine.vocabulary import find_names
from studio.domain.errors import BadStoryboard
from studio.domain.project import Project
from studio.domain.storyboard import MAX_CAST, CastMember, Storyboard


def with_cast(board: Storyboard, *more: str) -> Storyboard:
    """The storyboard; if it lists no cast, with the names in its captions and in `more` texts as its cast."""
    if board.cast:
        return board
    members: list[CastMember] = []
    for name in find_names((*(shot.caption for shot in board.shots), *more)):
        with suppress(BadStoryboard):  # not a name after all; it stays an unknown word
            members.append(CastMember(name=name))
    with suppress(BadStoryboard):  # two that cannot be told apart
        return replace(board, cast=tuple(members[:MAX_CAST]))
    return board


def with_inferred_cast(project: Project, *more: str) -> Project:
    """The project; if it lists no cast, with the names in its captions, and in `more` texts, as its cast."""
    return replace(project, board=with_cast(project.board, *more))
