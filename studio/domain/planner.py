"""The planner: which shots of a project are outdated, why, and which of them to render again.

A take is outdated if any of its inputs differs from what the shot asks for now. It is due for another render
if an input of its own changed, or if it depends enough on a context take that changed. The dependence is
estimated from the attention recorded in the trace; `moc-studio eval influence` measures how well it predicts
visible changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.differences import (
    coming_reasons,
    context_reasons,
    first_frame_reasons,
    own_reasons,
    reference_reasons,
)
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import Control, Guide, RenderingModel, TakeFrame, TakeInputs, inputs_of
from studio.domain.project import LANES, Project
from studio.domain.reasons import OwnReason, Reason
from studio.domain.shown_frames import shown_frames
from studio.domain.storyboard import (
    Shot,
    Storyboard,
    compose_captions,
    draft_use,
    first_frame_source,
    shot_seed,
    target,
)

ROUNDED: Final = 1e-3
"""How much lower than the exact value a share may be: traces store rounded shares."""


State = Literal["unwritten", "missing", "fresh", "outdated"]


@dataclass(frozen=True, kw_only=True)
class ShotStatus:
    """Whether a shot's take is up to date.

    `state`: `unwritten` has no caption, `missing` has no take. `take` is the chosen one.
    `reasons` say what differs from it. `influence` estimates how much of the picture is touched,
    0–1; `due` says whether the shot is to be rendered again. `inputs` and `context`, (shot id, take id),
    are what it would be rendered from now.
    """

    shot: str
    index: int
    state: State
    take: str | None
    reasons: tuple[Reason, ...]
    influence: float
    due: bool
    inputs: TakeInputs
    context: tuple[tuple[str, str], ...]


Scope = Literal["due", "outdated", "all"]
"""Shots to render: those that are due, all whose inputs changed or will change, or every one."""


def shot_statuses(
    project: Project, takes: Mapping[str, FinishedTake], model: RenderingModel
) -> tuple[ShotStatus, ...]:
    """One entry per shot, in order, as `model` would render it.

    A shot is also due if it depends enough on an earlier shot that is due.
    """
    captions = compose_captions(project.board)
    replaced: dict[str, float] = {}  # the influence of each chosen take that is due
    statuses: list[ShotStatus] = []
    for index in range(len(project.board.shots)):
        status = _status(project, takes, model, index, captions[index], replaced)
        if status.due and status.take is not None:
            replaced[status.take] = status.influence
        statuses.append(status)
    return tuple(statuses)


def shots_to_render(
    board: Storyboard, statuses: Sequence[ShotStatus], scope: Scope | Collection[str]
) -> tuple[ShotStatus, ...]:
    """The shots of a scope, or of those named by id, that can be rendered.

    A shot without a caption, a skipped one and a locked one that has a take are never rendered. `outdated`
    includes the shots after one that is rendered: it will be part of their context.
    """
    chosen: list[ShotStatus] = []
    for status, shot in zip(statuses, board.shots, strict=True):
        if not may_render(shot, has_take=status.take is not None):
            continue
        match scope:
            case "due":
                wanted = status.due
            case "outdated":
                wanted = status.state != "fresh" or bool(chosen)
            case "all":
                wanted = True
            case _:
                wanted = status.shot in scope
        if wanted:
            chosen.append(status)
    return tuple(chosen)


def may_render(shot: Shot, *, has_take: bool) -> bool:
    """Whether a shot can be rendered: a lock protects a take, so a locked shot without one can."""
    return bool(shot.caption) and not shot.skip and not (shot.lock and has_take)


def with_existing_takes(
    project: Project, takes: Mapping[str, FinishedTake], model: RenderingModel
) -> Project:
    """The project after choosing, for each unlocked shot that is not fresh, the take its settings ask for.

    Shots for which no such take exists keep the one they have.
    """
    captions = compose_captions(project.board)
    for index, shot in enumerate(project.board.shots):
        status = _status(project, takes, model, index, captions[index], {})
        held = shot.lock and status.take is not None
        if status.state in ("outdated", "missing") and not held:
            wanted = _existing(project, takes, model, status, captions[index])
            if wanted is not None and wanted not in project.discarded:
                project = project.choosing(shot.id, wanted)
    return project


def _existing(
    project: Project,
    takes: Mapping[str, FinishedTake],
    model: RenderingModel,
    status: ShotStatus,
    caption: str,
) -> str | None:
    """The take that a shot's settings ask for, if there is one; `caption` is its composed one.

    With `context: finished` it is one that would be up to date: which shots it saw does not matter.
    """
    if status.inputs.take_id in takes:
        return status.inputs.take_id
    if project.settings.context == "all":
        return None
    wanted = status.inputs
    for name, take in takes.items():
        if (take.inputs.caption, take.inputs.seed) == (wanted.caption, wanted.seed):
            chosen = project.choosing(status.shot, name)
            if _status(chosen, takes, model, status.index, caption, {}).state == "fresh":
                return name
    return None


def after_rendering(
    project: Project, takes: Mapping[str, FinishedTake], model: RenderingModel, shots: Collection[str]
) -> tuple[Project, Mapping[str, FinishedTake]]:
    """The project once these shots are rendered, and its takes with placeholders for the new ones."""
    captions = compose_captions(project.board)
    known = dict(takes)
    for index, shot in enumerate(project.board.shots):
        if shot.id in shots:
            status = _status(project, known, model, index, captions[index], {})
            inputs = status.inputs
            frames = max(1, round(inputs.seconds * inputs.fps))
            own_seed = shot_seed(project.board, index)
            take = FinishedTake(
                id=inputs.take_id,
                inputs=inputs,
                caption=shot.caption,
                frames=frames,
                context=status.context,
                rolled_from=None if inputs.seed == own_seed else own_seed,
            )
            known.setdefault(take.id, take)
            project = project.choosing(shot.id, take.id)
    return project, known


def _status(
    project: Project,
    takes: Mapping[str, FinishedTake],
    model: RenderingModel,
    index: int,
    caption: str,
    replaced: Mapping[str, float],
) -> ShotStatus:
    """The status of one shot; `caption` is its composed one, `replaced` the earlier takes that are due."""
    board = project.board
    shot = board.shots[index]
    take = chosen_take(project, takes, shot.id)
    context = context_of(project, takes, index)
    seed, first_frame = wanted_seed(board, index, take), _first_frame(project, takes, index)
    draft = _draft(project, takes, index)

    def rendered_from(context: list[tuple[int, str, str]]) -> TakeInputs:
        return inputs_of(
            board,
            model,
            index,
            settings=project.settings,
            caption=caption,
            context=[(index, name) for index, _, name in context],
            seed=seed,
            first_frame=first_frame,
            draft=draft,
        )

    compared = context if take is None else _compared_context(project, shot, take, context)
    inputs, named_context = rendered_from(compared), each_once(compared)
    threshold = project.settings.rerender_threshold - ROUNDED
    if take is None:
        state: State = "missing"
        reasons: tuple[Reason, ...] = (OwnReason(code="missing"),)
        influence = 1.0
    else:
        others = tuple(pair for pair in named_context if pair[1] != take.id)  # both halves of a split
        changed = [
            *own_reasons(board, index, take, inputs, named_context),
            *reference_reasons(board, index, take, inputs),
            *context_reasons(project, index, take, others),
        ]
        coming = list(coming_reasons(project, take, dict(named_context), replaced))
        for reason in first_frame_reasons(board, index, take, inputs, replaced):
            (coming if reason.code == "first_frame_due" else changed).append(reason)
        state = "outdated" if changed else "fresh"
        influence = max((reason.influence for reason in (*changed, *coming)), default=0.0)
        reasons = (*changed, *coming) if influence >= threshold else tuple(changed)
        if changed and compared != context:
            inputs, named_context = rendered_from(context), each_once(context)
    if not shot.caption:
        state, reasons = "unwritten", (OwnReason(code="unwritten"),)
    enough = influence > 0 and influence >= threshold
    return ShotStatus(
        shot=shot.id,
        index=index,
        state=state,
        take=None if take is None else take.id,
        reasons=reasons,
        influence=influence,
        due=may_render(shot, has_take=take is not None) and (state == "missing" or enough),
        inputs=inputs,
        context=named_context,
    )


def _compared_context(
    project: Project, shot: Shot, take: FinishedTake, context: list[tuple[int, str, str]]
) -> list[tuple[int, str, str]]:
    """The part of a shot's context that its take is compared with.

    With `context: finished` a take need not have seen shots that were not finished when it began; those that
    are pinned or boosted it must.
    """
    if project.settings.context == "all":
        return context
    seen = {name for pair in take.context for name in pair}
    seen.update(target(name)[0] for name in (*shot.pins, *shot.boosts))
    return [entry for entry in context if not seen.isdisjoint(entry[1:])]


def _draft(project: Project, takes: Mapping[str, FinishedTake], index: int) -> Guide | Control | None:
    """The draft of a shot, where its final is made from it."""
    use = draft_use(project.board, index)
    if use is None or project.lane == "draft" or not project.has_lanes:
        return None
    draft = chosen_take(project.in_lane("draft"), takes, project.board.shots[index].id)
    if draft is None:
        return None
    if use.scale is not None:
        return Control(take=draft.id, scale=use.scale)
    return None if use.strength is None else Guide(take=draft.id, strength=use.strength)


def _first_frame(project: Project, takes: Mapping[str, FinishedTake], index: int) -> str | None:
    """The first frame of a shot, as its inputs have it; None too where its source has no effect."""
    source = first_frame_source(project.board, index)
    text = project.board.shots[index].first_frame
    if source is None or text is None:
        return None
    if source.index is None:
        return text if source.picture is not None or text.startswith("file:") else None
    shot = project.board.shots[source.index]
    take = chosen_take(project, takes, shot.id)
    if take is None:
        return f"shot:{shot.id}"
    first, frames = shown_frames(shot, take.frames, take.inputs.fps)
    return str(TakeFrame(take=take.id, frame=first + frames - 1))


def chosen_take(project: Project, takes: Mapping[str, FinishedTake], shot: str) -> FinishedTake | None:
    """The chosen take of a shot in the lane that is worked in; None if there is none, or it is in the bin or
    gone.
    """
    name = project.current.get(shot)
    return None if name is None or name in project.discarded else takes.get(name)


def take_in_film(project: Project, takes: Mapping[str, FinishedTake], shot: str) -> FinishedTake | None:
    """The take that the film shows of a shot: its final, or else its draft."""
    final = chosen_take(project.in_lane("final"), takes, shot)
    return final or chosen_take(project.in_lane("draft"), takes, shot)


def first_indices(project: Project, takes: Mapping[str, FinishedTake]) -> dict[str, int]:
    """The index of the first shot that shows each take, by the take's id: of the lane that is worked in, and
    of the other one.
    """
    indices: dict[str, int] = {}
    for lane in (project, *(project.in_lane(other) for other in LANES if other != project.lane)):
        for index, shot in enumerate(project.board.shots):
            if not shot.skip and (take := chosen_take(lane, takes, shot.id)) is not None:
                indices.setdefault(take.id, index)
    return indices


def context_of(
    project: Project, takes: Mapping[str, FinishedTake], before: int
) -> list[tuple[int, str, str]]:
    """The context of the shot at `before`: the chosen takes of unskipped earlier shots.

    Entries are (index, shot id, take id). A take that several shots share is listed for each of them.
    """
    return [
        (index, shot.id, take.id)
        for index, shot in enumerate(project.board.shots[:before])
        if not shot.skip and (take := chosen_take(project, takes, shot.id)) is not None
    ]


def each_once(context: Collection[tuple[int, str, str]]) -> tuple[tuple[str, str], ...]:
    """(shot id, take id), each take with the first shot that shows it."""
    first: dict[str, str] = {}
    for _, shot, take in context:
        first.setdefault(take, shot)
    return tuple((shot, take) for take, shot in first.items())


def wanted_seed(board: Storyboard, index: int, take: FinishedTake | None) -> int:
    """The seed a shot asks for: its own, or that of its chosen take if that was rerolled from it."""
    asked = shot_seed(board, index)
    return take.inputs.seed if take is not None and take.rolled_from == asked else asked
