"""The planner: which shots of a project are outdated, why, and which of them to render again.

A take is outdated if any of its inputs differs from what the shot asks for now. It is due for another render
if an input of its own changed, or if it depends enough on a context take that changed. The dependence is
estimated from the attention recorded in the trace; `moc-studio eval influence` measures how well it predicts
visible changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from studio.domain.inputs import TakeInputs, inputs_of
from studio.domain.project import Project
from studio.domain.reasons import (
    AddedContext,
    ContextReason,
    ContextReasonCode,
    OwnReason,
    OwnReasonCode,
    Reason,
    ReorderedContext,
)
from studio.domain.storyboard import Shot, Storyboard, compose_captions, shot_seed, target

ROUNDED: Final = 1e-3
"""How much lower than the exact value a share may be: traces store rounded shares."""


@dataclass(frozen=True, kw_only=True)
class FinishedTake:
    """A finished render of a shot, as far as the planner needs it.

    `caption` is the shot's own at the time, `context` (shot id, take id) of the takes it could attend to.
    By id of these takes, `links` are the shares of its attention that went to each, and `strongest` the part
    of the picture that drew most from each, with its share in what the part drew from all.
    `rolled_from` is the seed that the shot asked for, if the take was rendered with another one.
    """

    id: str
    inputs: TakeInputs
    caption: str
    frames: int
    context: tuple[tuple[str, str], ...] = ()
    links: Mapping[str, float] = field(default_factory=dict)
    strongest: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    rolled_from: int | None = None

    @property
    def seconds(self) -> float:
        return float(self.frames / self.inputs.fps)

    def share(self, take: str) -> float:
        """The share of a context take in the attention that went to the whole context, 0–1."""
        total = sum(self.links.values())
        return self.links.get(take, 0.0) / total if total else 0.0

    def dependence(self, take: str) -> float:
        """How much this take depends on a context take, 0–1: an estimate from its attention."""
        return self.strongest[take][1] if take in self.strongest else self.share(take)


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


def shot_statuses(project: Project, takes: Mapping[str, FinishedTake], model: str) -> tuple[ShotStatus, ...]:
    """One entry per shot, in order. `model` identifies the model that would render, including its weights.

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


def with_existing_takes(project: Project, takes: Mapping[str, FinishedTake], model: str) -> Project:
    """The project after choosing, for each unlocked shot that is not fresh, the take its settings ask for.

    Shots for which no such take exists keep the one they have.
    """
    captions = compose_captions(project.board)
    for index, shot in enumerate(project.board.shots):
        status = _status(project, takes, model, index, captions[index], {})
        wanted = status.inputs.take_id
        exists = wanted in takes and wanted not in project.discarded
        held = shot.lock and status.take is not None
        if status.state in ("outdated", "missing") and exists and not held:
            project = project.choosing(shot.id, wanted)
    return project


def after_rendering(
    project: Project, takes: Mapping[str, FinishedTake], model: str, shots: Collection[str]
) -> tuple[Project, Mapping[str, FinishedTake]]:
    """The project once these shots are rendered, and its takes with placeholders for the new ones."""
    captions = compose_captions(project.board)
    known = dict(takes)
    for index, shot in enumerate(project.board.shots):
        if shot.id in shots:
            inputs = _status(project, known, model, index, captions[index], {}).inputs
            frames = max(1, round(inputs.seconds * inputs.fps))
            take = FinishedTake(id=inputs.take_id, inputs=inputs, caption=shot.caption, frames=frames)
            known.setdefault(take.id, take)
            project = project.choosing(shot.id, take.id)
    return project, known


def _status(
    project: Project,
    takes: Mapping[str, FinishedTake],
    model: str,
    index: int,
    caption: str,
    replaced: Mapping[str, float],
) -> ShotStatus:
    """The status of one shot; `caption` is its composed one, `replaced` the earlier takes that are due."""
    board = project.board
    shot = board.shots[index]
    take = chosen_take(project, takes, shot.id)
    context = context_of(project, takes, index)
    inputs = inputs_of(
        board,
        model,
        index,
        caption=caption,
        context=[(index, name) for index, _, name in context],
        seed=wanted_seed(board, index, take),
    )
    named_context = each_once(context)
    threshold = board.settings.rerender_threshold - ROUNDED
    if take is None:
        state: State = "missing"
        reasons: tuple[Reason, ...] = (OwnReason(code="missing"),)
        influence = 1.0
    else:
        others = tuple(pair for pair in named_context if pair[1] != take.id)  # both halves of a split
        changed = [
            *_own_reasons(board, index, take, inputs, named_context),
            *_context_reasons(project, index, take, others),
        ]
        coming = list(_coming(project, take, dict(named_context), replaced))
        state = "outdated" if changed else "fresh"
        influence = max((reason.influence for reason in (*changed, *coming)), default=0.0)
        reasons = (*changed, *coming) if influence >= threshold else tuple(changed)
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


def chosen_take(project: Project, takes: Mapping[str, FinishedTake], shot: str) -> FinishedTake | None:
    """The chosen take of a shot; None if there is none, or it is in the bin or gone."""
    name = project.chosen.get(shot)
    return None if name is None or name in project.discarded else takes.get(name)


def first_indices(project: Project, takes: Mapping[str, FinishedTake]) -> dict[str, int]:
    """The index of the first shot that shows each take of the film, by the take's id."""
    indices: dict[str, int] = {}
    for index, shot in enumerate(project.board.shots):
        if not shot.skip and (take := chosen_take(project, takes, shot.id)) is not None:
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


def _own_reasons(
    board: Storyboard,
    index: int,
    take: FinishedTake,
    now: TakeInputs,
    context: Collection[tuple[str, str]],
) -> Iterator[Reason]:
    """The inputs of the shot's own that differ from those of its take."""
    then = take.inputs
    same_caption = take.caption == board.shots[index].caption
    same_words = then.caption == now.caption and then.global_caption == now.global_caption
    cast_then, cast_now = then.cast_indices, now.cast_indices
    common = cast_then.keys() & cast_now.keys()
    differs: dict[OwnReasonCode, bool] = {
        "model": then.model != now.model,
        "caption": not same_caption,
        "look": same_caption and then.caption != now.caption,
        "style": then.global_caption != now.global_caption,
        "cast": (same_words and cast_then != cast_now)
        or any(cast_then[name] != cast_now[name] for name in common),
        "longer": round(now.seconds * then.fps) > take.frames,
        "frame_rate": then.fps != now.fps,
        "size": then.size != now.size,
        "seed": then.seed != now.seed,
        "steps": then.steps != now.steps,
        "guidance": then.guidance != now.guidance,
        "top_k": then.top_k != now.top_k,
        "steering": _steered_otherwise(then, take.context, now, context),
    }
    yield from (OwnReason(code=code) for code, differ in differs.items() if differ)


def _steered_otherwise(
    then: TakeInputs,
    seen: Collection[tuple[str, str]],
    now: TakeInputs,
    context: Collection[tuple[str, str]],
) -> bool:
    """Whether any take in the context is steered differently; a new take of a shot is compared by shot."""
    before: dict[str, object] = {}
    for shot, take in seen:
        before[shot] = before[take] = _steering(then, take)
    unsteered: frozenset[object] = frozenset()
    return any(
        _steering(now, take) != before.get(take, before.get(shot, unsteered)) for shot, take in context
    )


def _steering(inputs: TakeInputs, take: str) -> frozenset[object]:
    """Pins, bans and boosts of one take and of its parts."""
    told = [("pin", name) for name in inputs.pins] + [("ban", name) for name in inputs.bans]
    steered = [(kind, *target(name)) for kind, name in told]
    boosts = [(boost, *target(name)) for name, boost in inputs.boosts.items()]
    return frozenset((kind, part) for kind, other, part in (*steered, *boosts) if other == take)


def _context_reasons(
    project: Project, own: int, take: FinishedTake, context: Collection[tuple[str, str]]
) -> Iterator[Reason]:
    """What differs in the context of the take of the shot with index `own`."""
    then, now = dict(take.context), dict(context)
    if list(then.values()) == list(now.values()):  # whichever of a split take's shots shows it
        return
    found = False
    for shot, seen in then.items():
        if now.get(shot) == seen or seen in now.values():
            continue
        found = True
        yield _context_reason(
            _what_became(project, own, shot, now), project.index_of(shot), take, seen, take.dependence(seen)
        )
    for shot, seen in now.items():
        if shot not in then and seen not in then.values():
            found = True
            yield AddedContext(index=project.index_of(shot))
    if not found:
        yield ReorderedContext()


def _coming(
    project: Project, take: FinishedTake, context: Mapping[str, str], replaced: Mapping[str, float]
) -> Iterator[Reason]:
    """What will differ once the earlier shots that are due are rendered; `context` is (shot id, take id)."""
    shown_by = {name: shot for shot, name in context.items()}
    for shot, seen in take.context:
        if seen in replaced:
            index = project.index_of(shown_by.get(seen, shot))
            yield _context_reason("due", index, take, seen, take.dependence(seen) * replaced[seen])


def _context_reason(
    code: ContextReasonCode, index: int | None, take: FinishedTake, seen: str, influence: float
) -> ContextReason:
    part, part_share = take.strongest.get(seen, ("", 0.0))
    return ContextReason(
        code=code,
        index=index,
        share=take.share(seen),
        part=part,
        part_share=part_share,
        influence=influence,
    )


def _what_became(project: Project, own: int, shot: str, now: Mapping[str, str]) -> ContextReasonCode:
    """Why a shot that was in the context of the shot with index `own` no longer is, with its take."""
    index = project.index_of(shot)
    if shot in now:
        return "new_take"
    if index is None:
        return "deleted"
    if project.board.shots[index].skip:
        return "skipped"
    return "moved_behind" if index >= own else "no_take"
