"""Edits of which shots a film has, in what order, and how long each is."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from studio.domain.edits.shots_by_id import (
    all_there,
    checked_shot,
    index_of,
    one_line,
    shots_in_words,
    with_shot_changed,
)
from studio.domain.errors import Refused
from studio.domain.finished_take import Takes
from studio.domain.first_frame import PREVIOUS
from studio.domain.messages import message
from studio.domain.planner import wanted_seed
from studio.domain.project import LANES, Project
from studio.domain.storyboard import SECONDS, Shot, first_frame_source


def new_id() -> str:
    """A new id for a shot."""
    return f"shot-{secrets.token_hex(6)}"


@dataclass(frozen=True, kw_only=True)
class AddShot:
    """Adds a shot before index `at`, or at the end if None."""

    caption: str = ""
    seconds: float = 3.0
    at: int | None = None
    id: str = field(default_factory=new_id)
    op: Literal["add"] = "add"

    def apply(self, project: Project, takes: Takes) -> Project:
        shots = project.board.shots
        at = len(shots) if self.at is None else max(0, min(self.at, len(shots)))
        new = checked_shot(at, lambda: Shot(id=self.id, caption=one_line(self.caption), seconds=self.seconds))
        return project.with_shots((*shots[:at], new, *shots[at:]))

    def words(self, project: Project) -> str:
        return "add a shot"


@dataclass(frozen=True, kw_only=True)
class Trim:
    """Changes where in its take a shot begins, and how many seconds of it it shows."""

    shot: str
    trim: float
    seconds: float
    op: Literal["trim"] = "trim"

    def apply(self, project: Project, takes: Takes) -> Project:
        return with_shot_changed(project, self.shot, trim=round(self.trim, 6), seconds=round(self.seconds, 6))

    def words(self, project: Project) -> str:
        return f"trim {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Splits a shot in two, `at` seconds after its start. Both show its take until one is edited."""

    shot: str
    at: float
    id: str = field(default_factory=new_id)
    op: Literal["split"] = "split"

    def apply(self, project: Project, takes: Takes) -> Project:
        index = index_of(project, self.shot)
        whole = project.board.shots[index]
        least = SECONDS[0]
        if not least <= self.at <= whole.seconds - least:
            raise Refused(message("split-too-short", shot=index + 1, least=least))
        take = takes.get(project.current.get(self.shot, ""))
        first = replace(whole, seconds=round(self.at, 6))
        source = first_frame_source(project.board, index)
        frame = None if whole.first_frame == PREVIOUS else whole.first_frame
        if source is not None and source.index is not None:
            frame = f"shot:{project.board.shots[source.index].id}"
        second = checked_shot(
            index + 1,
            lambda: replace(
                whole,
                id=self.id,
                trim=round(whole.trim + self.at, 6),
                seconds=round(whole.seconds - self.at, 6),
                seed=wanted_seed(project.board, index, take),
                first_frame=frame,
            ),
        )
        shots = project.board.shots
        later = (  # what began where the whole ended begins where its second half ends
            replace(shot, first_frame=f"shot:{self.id}") if shot.first_frame == f"shot:{whole.id}" else shot
            for shot in shots[index + 1 :]
        )
        made = project.with_shots((*shots[:index], first, second, *later))
        for lane in LANES:
            made = made.in_lane(lane).choosing(self.id, project.in_lane(lane).current.get(self.shot))
        return made.in_lane(project.lane)

    def words(self, project: Project) -> str:
        return f"split {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Adds a copy behind each of these shots, without takes.

    `ids` are those of the copies; missing ones are generated.
    """

    shots: tuple[str, ...]
    ids: tuple[str, ...] = field(default_factory=lambda: tuple(new_id() for _ in range(8)))
    op: Literal["duplicate"] = "duplicate"

    def apply(self, project: Project, takes: Takes) -> Project:
        wanted = all_there(project, self.shots)
        ids = iter(self.ids)
        shots: list[Shot] = []
        for shot in project.board.shots:
            shots.append(shot)
            if shot.id in wanted:
                copy = partial(replace, shot, id=next(ids, None) or new_id(), lock=False)
                shots.append(checked_shot(len(shots), copy))
        return project.with_shots(tuple(shots))

    def words(self, project: Project) -> str:
        return f"duplicate {shots_in_words(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Removes shots. Their takes are kept, so that undo brings them back."""

    shots: tuple[str, ...]
    op: Literal["delete"] = "delete"

    def apply(self, project: Project, takes: Takes) -> Project:
        gone = all_there(project, self.shots)
        return project.with_shots(tuple(shot for shot in project.board.shots if shot.id not in gone))

    def words(self, project: Project) -> str:
        return f"delete {shots_in_words(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Move:
    """Moves shots before index `to` (as counted before the move); their order stays."""

    shots: tuple[str, ...]
    to: int
    op: Literal["move"] = "move"

    def apply(self, project: Project, takes: Takes) -> Project:
        moved = all_there(project, self.shots)
        shots = project.board.shots
        to = max(0, min(self.to, len(shots)))
        return project.with_shots(
            (
                *(shot for shot in shots[:to] if shot.id not in moved),
                *(shot for shot in shots if shot.id in moved),
                *(shot for shot in shots[to:] if shot.id not in moved),
            )
        )

    def words(self, project: Project) -> str:
        return f"move {shots_in_words(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Locks or unlocks shots: a locked shot keeps its take."""

    shots: tuple[str, ...]
    on: bool
    op: Literal["lock"] = "lock"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _flagged(project, self.shots, lock=self.on)

    def words(self, project: Project) -> str:
        return f"{'lock' if self.on else 'unlock'} {shots_in_words(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Skips shots, or brings them back: skipped ones are neither in the cut nor in any context."""

    shots: tuple[str, ...]
    on: bool
    op: Literal["skip"] = "skip"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _flagged(project, self.shots, skip=self.on)

    def words(self, project: Project) -> str:
        return f"{'skip' if self.on else 'bring back'} {shots_in_words(project, self.shots)}"


def _flagged(project: Project, wanted: Collection[str], **flag: bool) -> Project:
    chosen = all_there(project, tuple(wanted))
    return project.with_shots(
        tuple(
            replace(shot, **flag) if shot.id in chosen else shot  # type: ignore[arg-type]
            for shot in project.board.shots
        )
    )
