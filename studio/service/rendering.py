"""Renders of shots: what would be rendered and why, and putting it into the queue."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from moc_engine.caption_check import captions_left_out
from moc_engine.vocabulary import largest_cast
from studio.domain.checks import MAX_SEED
from studio.domain.cut import cut_of, without_missing
from studio.domain.errors import Refused
from studio.domain.inputs import TakeInputs
from studio.domain.messages import Message, message
from studio.domain.planner import Scope, ShotStatus, State, shot_statuses, shots_to_render
from studio.domain.project import Lane, Project
from studio.domain.storyboard import Storyboard
from studio.jobs import queue
from studio.jobs.estimate import Rates, measured_with
from studio.jobs.order import RenderOrder
from studio.service.models import Models
from studio.service.reason_words import in_words
from studio.service.state import expected
from studio.store import projects, takes
from studio.store.database import Database

MOST_VARIATIONS: Final = 8
"""Takes with new seeds that may be asked for at once."""


@dataclass(frozen=True, kw_only=True)
class PlannedRender:
    """A shot that would be rendered: the reasons and what to mind, the expected seconds, the take's lane."""

    shot: str
    index: int
    reasons: tuple[str, ...]
    seconds: float
    lane: Lane


Action = Literal["render", "keep", "absent", "skip"]


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """What a render does with one shot.

    `keep`: an existing take stays or is chosen. `absent`: it has no take, and none was asked for. `state` and
    `reasons` are those before the render, with what to mind about it; `take`, `inputs` and `context` (indices
    of shots) those afterwards. `seconds` are expected, 0 if the shot is not rendered.
    """

    shot: str
    index: int
    action: Action
    state: State
    locked: bool
    reasons: tuple[str, ...]
    seconds: float
    take: str | None
    inputs: TakeInputs
    context: tuple[int, ...]


class Rendering:
    """Plans renders and queues them. Every method raises `NotThere` if the project is gone."""

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._models = models

    def plan(
        self, project: str, scope: Scope | Collection[str] = "due", *, lane: Lane | None = None
    ) -> tuple[PlannedRender, ...]:
        """The shots that `render` would queue, of a scope or by id, in a lane: None is the one worked in.

        Skipped shots, those without a caption and locked ones that have a take are never among them. Raises
        `Refused` for drafts of a project that has none.
        """
        return self._plan(project, scope, lane)

    def _plan(
        self,
        project: str,
        scope: Scope | Collection[str],
        lane: Lane | None = None,
        *,
        check_cast: bool = False,
    ) -> tuple[PlannedRender, ...]:
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        found = found.switched_to(lane or found.lane)
        rates = measured_with(known.values(), self._models.of(found).rendering.identity)
        planned = shots_to_render(found.board, self._models.statuses(found, known), scope)
        if check_cast:
            self._check_cast(found, planned)
        return tuple(
            PlannedRender(
                shot=status.shot,
                index=status.index,
                reasons=(*(_reasons_in_words(status, scope) or ("asked for",)), *_notes(found, status)),
                seconds=expected(rates, status),
                lane=found.lane,
            )
            for status in planned
        )

    def outline(
        self, project: str, scope: Scope | Collection[str] = "due", *, again: bool = False
    ) -> tuple[PlannedShot, ...]:
        """What `render` would do with each shot. Raises `Refused` if its takes would differ in format."""
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        before = self._models.statuses(found, known)
        to_render = shots_to_render(found.board, before, scope)
        self._check_cast(found, to_render)
        asked = {status.shot for status in to_render}
        rendered, planned = self._models.after_rendering(found, known, asked)
        cut_of(without_missing(rendered, planned), planned)
        after = shot_statuses(rendered, planned, self._models.of(found).rendering)
        rates = measured_with(known.values(), self._models.of(found).rendering.identity)
        shots: list[PlannedShot] = []
        for old, new, shot in zip(before, after, found.board.shots, strict=True):
            made = shot.id in asked and (again or new.take not in known)
            action: Action = (
                "skip" if shot.skip else "render" if made else "absent" if new.take is None else "keep"
            )
            shots.append(
                PlannedShot(
                    shot=shot.id,
                    index=new.index,
                    action=action,
                    state=old.state,
                    locked=shot.lock,
                    reasons=(*_reasons_in_words(old, scope), *_notes(found, old))
                    if made
                    else tuple(map(in_words, old.reasons)),
                    seconds=expected(rates, new) if made else 0.0,
                    take=new.take,
                    inputs=new.inputs,
                    context=tuple(other.index for other in shots if other.action in ("render", "keep")),
                )
            )
        return tuple(shots)

    def read_model(self, model: str | None) -> None:
        """Reads the files of a model, so that takes of other weights are known to be outdated.

        The first time this takes a while for a large model. Raises `EngineError` if there is no such model.
        """
        self._models.read(model)

    def rates(self, project: str) -> Rates:
        """How fast the project's takes were rendered."""
        with self._database.read() as session:
            known = takes.takes_of(session, project)
            model = self._models.of(projects.project_of(session, project)).rendering
        return measured_with(known.values(), model.identity)

    def render(
        self,
        project: str,
        scope: Scope | Collection[str] = "due",
        *,
        lane: Lane | None = None,
        again: bool = False,
    ) -> list[int]:
        """Queues what `plan` lists; returns the jobs' ids. Raises `Refused` if there is nothing to render.

        `again`: shots are rendered even if a take with the same inputs exists, whose files are replaced.
        """
        orders = [
            RenderOrder(
                shot=item.shot,
                reason="; ".join(item.reasons),
                seconds=item.seconds,
                again=again,
                lane=item.lane,
            )
            for item in self._plan(project, scope, lane, check_cast=True)
        ]
        with self._database.write() as session:
            if not orders:
                raise Refused(_why_nothing(projects.project_of(session, project).board, scope))
            return queue.enqueue(session, project, orders)

    def reroll(self, project: str, shot: str, *, count: int = 1, seed: int | None = None) -> list[int]:
        """Queues `count` takes of a shot with new seeds and the context of its chosen take.

        A single one becomes the chosen take; of several the person chooses.
        """
        if not 1 <= count <= MOST_VARIATIONS:
            raise Refused(message("too-many-takes", most=MOST_VARIATIONS, count=count))
        if seed is not None and not 0 <= seed <= MAX_SEED:
            raise Refused(message("seed-invalid", most=MAX_SEED, seed=seed))
        planned = self._plan(project, (shot,), check_cast=True)
        if not planned:
            raise Refused(message("shot-not-renderable"))
        seeds = [seed] if seed is not None else [secrets.randbelow(2**31) for _ in range(count)]
        orders = [
            RenderOrder(
                shot=shot,
                reason="another seed",
                seconds=planned[0].seconds,
                lane=planned[0].lane,
                seed=own,
                keep_context=True,
                replace=count == 1,
            )
            for own in seeds
        ]
        with self._database.write() as session:
            return queue.enqueue(session, project, orders)

    def _check_cast(self, project: Project, statuses: Iterable[ShotStatus]) -> None:
        """Raises `Refused` if a shot names a cast member that the model cannot tell from others."""
        if not self._models.of(project).known_words_only:
            return
        most = largest_cast()
        for status in statuses:
            for name, index in status.inputs.cast_indices.items():
                if index >= most:
                    shot, number = status.index + 1, index + 1
                    raise Refused(message("model-cast-limit", shot=shot, name=name, number=number, most=most))


def _reasons_in_words(status: ShotStatus, scope: Scope | Collection[str]) -> tuple[str, ...]:
    """Why a shot is rendered; an up-to-date one is among the outdated ones because of a shot before it."""
    if status.state == "fresh" and scope == "outdated":
        return (str(message("reason-after-rendered")),)
    return tuple(map(in_words, status.reasons))


def _notes(project: Project, status: ShotStatus) -> tuple[str, ...]:
    """What of a shot's captions its model will not read, in words."""
    inputs = status.inputs
    left_out = captions_left_out(project.settings.model, inputs.global_caption, inputs.caption)
    if left_out is None:
        return ()
    of_each = {"note-style-too-long": left_out.style, "note-caption-too-long": left_out.own}
    return tuple(str(message(code, tokens=tokens)) for code, tokens in of_each.items() if tokens)


def _why_nothing(board: Storyboard, scope: Scope | Collection[str]) -> Message:
    if not board.shots:
        return message("no-shots-yet")
    return message("nothing-due" if scope in ("due", "outdated") else "nothing-renderable")
