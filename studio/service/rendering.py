"""Renders of shots: what would be rendered and why, and putting it into the queue."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.errors import Refused
from studio.domain.planner import ShotStatus
from studio.domain.storyboard import MAX_SEED, Storyboard
from studio.jobs import queue
from studio.jobs.estimate import measured
from studio.jobs.order import RenderOrder
from studio.service.models import Models
from studio.service.state import expected
from studio.store import projects, takes
from studio.store.database import Database

Scope = Literal["due", "all"]

MOST_VARIATIONS: Final = 8
"""Takes with new seeds that may be asked for at once."""


@dataclass(frozen=True, kw_only=True)
class PlannedRender:
    """A shot that would be rendered: the reasons, and the expected seconds."""

    shot: str
    place: int
    reasons: tuple[str, ...]
    seconds: float


class Rendering:
    """Plans renders and queues them. Every method raises `NotThere` if the project is gone."""

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._models = models

    def plan(self, project: str, scope: Scope | Collection[str] = "due") -> tuple[PlannedRender, ...]:
        """The shots that `render` would queue: those that are due, all, or shots by id.

        Locked and skipped shots, and those without a caption, are never among them.
        """
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        rates = measured(known.values())
        statuses = self._models.statuses(found, known)
        return tuple(
            PlannedRender(
                shot=status.shot,
                place=status.place,
                reasons=status.reasons or ("asked for",),
                seconds=expected(rates, status),
            )
            for status, shot in zip(statuses, found.board.shots, strict=True)
            if shot.caption and not shot.lock and not shot.skip and _wanted(status, scope)
        )

    def render(self, project: str, scope: Scope | Collection[str] = "due") -> list[int]:
        """Queues what `plan` lists; returns the jobs' ids. Raises `Refused` if there is nothing to render."""
        orders = [
            RenderOrder(shot=item.shot, reason="; ".join(item.reasons), seconds=item.seconds)
            for item in self.plan(project, scope)
        ]
        with self._database.write() as session:
            if not orders:
                raise Refused(_nothing(projects.project_of(session, project).board, scope))
            return queue.enqueue(session, project, orders)

    def reroll(self, project: str, shot: str, *, count: int = 1, seed: int | None = None) -> list[int]:
        """Queues `count` takes of a shot with new seeds and the context of its chosen take.

        A single one becomes the chosen take; of several the person chooses.
        """
        if not 1 <= count <= MOST_VARIATIONS:
            raise Refused(f"1 to {MOST_VARIATIONS} takes at once, got {count}")
        if seed is not None and not 0 <= seed <= MAX_SEED:
            raise Refused(f"a seed is a whole number from 0 to {MAX_SEED}, got {seed}")
        seconds = {item.shot: item.seconds for item in self.plan(project, (shot,))}
        if shot not in seconds:
            raise Refused("this shot cannot be rendered: it is locked, skipped or without a caption")
        seeds = [seed] if seed is not None else [secrets.randbelow(2**31) for _ in range(count)]
        orders = [
            RenderOrder(
                shot=shot,
                reason="another seed",
                seconds=seconds[shot],
                seed=own,
                keep_context=True,
                replace=count == 1,
            )
            for own in seeds
        ]
        with self._database.write() as session:
            return queue.enqueue(session, project, orders)


def _wanted(status: ShotStatus, scope: Scope | Collection[str]) -> bool:
    if scope == "due":
        return status.due
    return scope == "all" or status.shot in scope


def _nothing(board: Storyboard, scope: Scope | Collection[str]) -> str:
    if not board.shots:
        return "there are no shots yet"
    if scope == "due":
        return "no shot needs rendering: all are up to date"
    return "nothing can be rendered: what is left is locked, skipped or without a caption"
