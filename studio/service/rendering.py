"""Renders of shots: what would be rendered and why, and putting it into the queue."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from sqlalchemy.orm import Session

from moc_engine.caption_check import captions_left_out
from moc_engine.model_abilities import needs_first_frame
from moc_engine.vocabulary import largest_cast
from studio.domain.checks import MAX_SEED
from studio.domain.cut import cut_of, without_missing
from studio.domain.errors import Refused
from studio.domain.inputs import RenderingModel, TakeInputs, loras_of
from studio.domain.messages import Message, message
from studio.domain.planner import Scope, ShotStatus, State, shot_statuses, shots_to_render
from studio.domain.project import Lane, Project
from studio.domain.settings import Lora
from studio.domain.storyboard import Storyboard
from studio.jobs import queue
from studio.jobs.estimate import Rates
from studio.jobs.order import RenderOrder
from studio.service.models import Model, Models, lora_problem, rates_of, time_is_known
from studio.service.reason_words import in_words
from studio.service.state import expected
from studio.store import projects, takes
from studio.store.database import Database
from studio.store.takes import StoredTake

MOST_VARIATIONS: Final = 8
"""Takes with new seeds that may be asked for at once."""


@dataclass(frozen=True, kw_only=True)
class PlannedRender:
    """A shot that would be rendered: the reasons and what to mind, the expected seconds, the take's lane.

    `time_known` says whether `seconds` are more than a guess.
    """

    shot: str
    index: int
    reasons: tuple[str, ...]
    seconds: float
    time_known: bool
    lane: Lane

    @property
    def known_seconds(self) -> float:
        """The expected seconds; 0 where they are not known."""
        return self.seconds if self.time_known else 0.0


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
        check: bool = False,
    ) -> tuple[PlannedRender, ...]:
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        found = found.switched_to(lane or found.lane)
        model = self._models.of(found)
        rates, is_known = rates_of(known.values(), model), time_is_known(known.values(), model)
        planned = shots_to_render(found.board, self._models.statuses(found, known), scope)
        if check:
            self._check_cast(found, planned)
            _check_first_frames(found, planned)
        notes = _Notes(found, model.rendering)
        return tuple(
            PlannedRender(
                shot=status.shot,
                index=status.index,
                reasons=(*(_reasons_in_words(status, scope) or ("asked for",)), *notes.of(status)),
                seconds=expected(rates, status),
                time_known=is_known,
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
        rates = rates_of(known.values(), self._models.of(found))
        notes = _Notes(found, self._models.of(found).rendering)
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
                    reasons=(*_reasons_in_words(old, scope), *notes.of(old))
                    if made
                    else tuple(map(in_words, old.reasons)),
                    seconds=expected(rates, new) if made else 0.0,
                    take=new.take,
                    inputs=new.inputs,
                    context=tuple(other.index for other in shots if other.action in ("render", "keep")),
                )
            )
        return tuple(shots)

    def to_render(self, project: str, shots: Iterable[PlannedShot]) -> tuple[PlannedRender, ...]:
        """The renders of an outline, in the lane that is worked in."""
        with self._database.read() as session:
            lane = projects.project_of(session, project).lane
        known = self.time_is_known(project)
        return tuple(
            PlannedRender(
                shot=shot.shot,
                index=shot.index,
                reasons=shot.reasons,
                seconds=shot.seconds,
                time_known=known,
                lane=lane,
            )
            for shot in shots
            if shot.action == "render"
        )

    def lane_inputs(
        self, project: str, scope: Scope | Collection[str], lane: Lane | None
    ) -> tuple[Storyboard, dict[int, TakeInputs], RenderingModel]:
        """The storyboard with the settings of a lane, the inputs of what `plan` lists, and the lane's model.

        Inputs are by the shots' indices.
        """
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        found = found.switched_to(lane or found.lane)
        planned = shots_to_render(found.board, self._models.statuses(found, known), scope)
        inputs = {status.index: status.inputs for status in planned}
        return replace(found.board, settings=found.settings), inputs, self._models.of(found).rendering

    def read_model(self, model: str | None) -> None:
        """Reads the files of a model, so that takes of other weights are known to be outdated.

        The first time this takes a while for a large model. Raises `EngineError` if there is no such model.
        """
        self._models.read(model)

    def rates(self, project: str) -> Rates:
        """How fast the project's takes were rendered; a guess unless `time_is_known`."""
        known, model = self._rendered(project)
        return rates_of(known, model)

    def time_is_known(self, project: str, lane: Lane | None = None) -> bool:
        """Whether expected times can be told: not before a lane's model rendered a take of the project."""
        known, model = self._rendered(project, lane)
        return time_is_known(known, model)

    def model(self, project: str) -> RenderingModel:
        """The model that the project renders with."""
        return self._rendered(project)[1].rendering

    def _rendered(self, project: str, lane: Lane | None = None) -> tuple[Collection[StoredTake], Model]:
        """The project's takes, and its model in a lane: None is the one worked in."""
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        return known.values(), self._models.of(found.switched_to(lane or found.lane))

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
                seconds=item.known_seconds,
                again=again,
                lane=item.lane,
            )
            for item in self._plan(project, scope, lane, check=True)
        ]

        def enqueue(session: Session) -> list[int]:
            if not orders:
                raise Refused(_why_nothing(projects.project_of(session, project).board, scope))
            return queue.enqueue(session, project, orders)

        return self._database.transact(enqueue, project=project)

    def reroll(self, project: str, shot: str, *, count: int = 1, seed: int | None = None) -> list[int]:
        """Queues `count` takes of a shot with new seeds and the context of its chosen take.

        A single one becomes the chosen take; of several the person chooses.
        """
        if not 1 <= count <= MOST_VARIATIONS:
            raise Refused(message("too-many-takes", most=MOST_VARIATIONS, count=count))
        if seed is not None and not 0 <= seed <= MAX_SEED:
            raise Refused(message("seed-invalid", most=MAX_SEED, seed=seed))
        planned = self._plan(project, (shot,), check=True)
        if not planned:
            raise Refused(message("shot-not-renderable"))
        seeds = [seed] if seed is not None else [secrets.randbelow(2**31) for _ in range(count)]
        orders = [
            RenderOrder(
                shot=shot,
                reason="another seed",
                seconds=planned[0].known_seconds,
                lane=planned[0].lane,
                seed=own,
                keep_context=True,
                replace=count == 1,
            )
            for own in seeds
        ]
        return self._database.transact(
            lambda session: queue.enqueue(session, project, orders), project=project
        )

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


def _check_first_frames(project: Project, statuses: Iterable[ShotStatus]) -> None:
    """Raises `Refused` if shots start with nothing, and the model needs something."""
    without = [status.index + 1 for status in statuses if status.inputs.first_frame is None]
    if without and needs_first_frame(project.settings.model):
        shots = ", ".join(map(str, without))
        raise Refused(message("first-frames-needed", shots=shots, problem=message("first-frame-needed")))


class _Notes:
    """What is to be minded about shots before they are rendered, in words."""

    def __init__(self, project: Project, model: RenderingModel) -> None:
        self._project = project
        self._model = model
        self._of_loras: dict[Lora, tuple[str, ...]] = {}

    def of(self, status: ShotStatus) -> tuple[str, ...]:
        """What of the shot's captions its model will not read, and what is wrong with its LoRAs."""
        project = self._project
        loras = loras_of(project.board, status.index, self._model, project.settings)
        return (*self._of_captions(status.inputs), *(note for lora in loras for note in self._of_lora(lora)))

    def _of_captions(self, inputs: TakeInputs) -> tuple[str, ...]:
        left_out = captions_left_out(self._project.settings.model, inputs.global_caption, inputs.caption)
        if left_out is None:
            return ()
        of_each = {"note-style-too-long": left_out.style, "note-caption-too-long": left_out.own}
        return tuple(str(message(code, tokens=tokens)) for code, tokens in of_each.items() if tokens)

    def _of_lora(self, lora: Lora) -> tuple[str, ...]:
        if lora not in self._of_loras:
            problem = lora_problem(lora, self._project.settings.model, self._model)
            self._of_loras[lora] = () if problem is None else (str(problem),)
        return self._of_loras[lora]


def _why_nothing(board: Storyboard, scope: Scope | Collection[str]) -> Message:
    if not board.shots:
        return message("no-shots-yet")
    return message("nothing-due" if scope in ("due", "outdated") else "nothing-renderable")
