"""What differs between a take and what its shot asks for now, as reasons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from moc_engine.names import mentioned
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import TakeInputs, reference, take_frame
from studio.domain.named_pictures import references
from studio.domain.project import Project
from studio.domain.reasons import (
    AddedContext,
    ContextReason,
    ContextReasonCode,
    FirstFrameReason,
    OwnReason,
    OwnReasonCode,
    Reason,
    ReferenceReason,
    ReorderedContext,
)
from studio.domain.storyboard import Storyboard, first_frame_source, target


def own_reasons(
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
        "full_below": then.full_below != now.full_below,
        "router": bool(then.context and now.context) and then.router != now.router,
        "steering": _steered_otherwise(then, take.context, now, context),
        "negative_prompt": then.negative_prompt != now.negative_prompt,
        "scheduler": (then.scheduler, then.shift) != (now.scheduler, now.shift),
        "guidance_2": then.guidance_2 != now.guidance_2,
        "loras": then.loras != now.loras,
        "step_cache": then.step_cache != now.step_cache,
        "memory": bool(then.context and now.context) and _remembered(then) != _remembered(now),
        "guide": (then.guide, then.guide_strength) != (now.guide, now.guide_strength),
        "control": (then.control, then.control_scale) != (now.control, now.control_scale),
        "positions": bool(then.context and now.context) and then.positions != now.positions,
    }
    yield from (OwnReason(code=code) for code, differ in differs.items() if differ)


def reference_reasons(board: Storyboard, index: int, take: FinishedTake, now: TakeInputs) -> Iterator[Reason]:
    """What differs in the pictures of whom a take shows.

    That another caption names others, or that another model takes none, is no reason of its own.
    """
    then = take.inputs.references
    if take.caption != board.shots[index].caption or then == now.references or take.inputs.model != now.model:
        return
    shown = {name: reference(picture) for name, picture in references(board, index).items()}
    changed = [name for name, picture in shown.items() if picture in now.references and picture not in then]
    lost = len(set(then) - set(now.references)) - len(changed)
    if lost > 0:
        named = mentioned(take.caption, board.names)
        without = [m.name for nth, m in enumerate(board.cast) if nth in named and m.name not in shown]
        changed = sorted({*changed, *without}, key=board.names.index)
    yield ReferenceReason(members=tuple(changed), gone=lost > 0 and not changed)


def _remembered(inputs: TakeInputs) -> tuple[object, ...]:
    return inputs.memory_policy, inputs.keyframes, inputs.memory_storage


def first_frame_reasons(
    board: Storyboard, index: int, take: FinishedTake, now: TakeInputs, replaced: Mapping[str, float]
) -> Iterator[Reason]:
    """What differs in the first frame of a take, and what will once earlier takes are `replaced`."""
    before, after = take_frame(take.inputs.first_frame), take_frame(now.first_frame)
    source = first_frame_source(board, index)
    at = None if source is None else source.index
    if take.inputs.first_frame == now.first_frame:
        if at is not None and after is not None and after.take in replaced:
            yield FirstFrameReason(code="first_frame_due", index=at, influence=replaced[after.take])
    elif at is None or before is None or after is None:
        yield OwnReason(code="first_frame")
    elif before.take == after.take:
        yield FirstFrameReason(code="first_frame_moved", index=at)
    elif (board.shots[at].id, before.take) in take.context:
        yield FirstFrameReason(code="first_frame_new_take", index=at)
    else:
        yield OwnReason(code="first_frame")


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


def context_reasons(
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


def coming_reasons(
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
