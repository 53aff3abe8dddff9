"""Projects whose takes are made up: what a render would leave behind, without rendering."""

from __future__ import annotations

from collections.abc import Mapping

from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import RenderingModel
from studio.domain.planner import ShotStatus, shot_statuses
from studio.domain.project import Project
from studio.domain.storyboard import CastMember, Shot, Storyboard

MODEL = RenderingModel(identity="fake@1")
Takes = Mapping[str, FinishedTake]


def project(*captions: str, **fields: object) -> Project:
    """A project with shots a, b, c … of these captions, and nothing rendered."""
    shots = tuple(Shot(id="abcdefghijkl"[i], caption=caption) for i, caption in enumerate(captions))
    cast = (CastMember(name="Mira", look="red"), CastMember(name="Otto"))
    board = Storyboard(**{"title": "Test", "shots": shots, "cast": cast, **fields})  # type: ignore[arg-type]
    return Project(board=board)


def rendered(
    start: Project, takes: Takes | None = None, only: str | None = None
) -> tuple[Project, dict[str, FinishedTake]]:
    """The project with new takes for all its shots, or one, in order; each looked evenly at its context."""
    known = dict(takes or {})
    for shot in start.board.shots:
        if shot.skip or not shot.caption or only not in (None, shot.id):
            continue
        index = start.index_of(shot.id)
        assert index is not None
        status = shot_statuses(start, known, MODEL)[index]
        take = take_of(status, shot.caption)
        known[take.id] = take
        start = start.choosing(shot.id, take.id)
    return start, known


def take_of(status: ShotStatus, caption: str) -> FinishedTake:
    """The take that a shot would get now."""
    inputs = status.inputs
    share = 0.6 / len(status.context) if status.context else 0.0
    return FinishedTake(
        id=inputs.take_id,
        inputs=inputs,
        caption=caption,
        frames=round(inputs.seconds * inputs.fps),
        context=status.context,
        links={take: share for _, take in status.context},
    )
