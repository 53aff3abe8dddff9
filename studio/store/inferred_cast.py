"""Infers the cast of a storyboard without a cast list from the names in its captions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from moc_engine.vocabulary import find_names
from studio.domain.errors import BadStoryboard
from studio.domain.project import Project
from studio.domain.storyboard import MAX_CAST, CastMember, Storyboard


def infer_cast(board: Storyboard, *more: str) -> Storyboard:
    """The storyboard; if its cast is empty, the names in its captions and in `more` texts become its cast."""
    if board.cast:
        return board
    members: list[CastMember] = []
    for name in find_names((*(shot.caption for shot in board.shots), *more)):
        with suppress(BadStoryboard):  # not a valid name; it is reported as an unknown word
            members.append(CastMember(name=name))
    with suppress(BadStoryboard):  # two names that differ too little
        return replace(board, cast=tuple(members[:MAX_CAST]))
    return board


def with_inferred_cast(project: Project, *more: str) -> Project:
    """The project with the cast of its storyboard inferred, see `infer_cast`."""
    return replace(project, board=infer_cast(project.board, *more))
