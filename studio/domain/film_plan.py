"""What to render of a film in a folder, and why: from a storyboard and the takes that are there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.inputs import TakeInputs, inputs_of
from studio.domain.storyboard import Shot, Storyboard, compose_captions, shot_seed


@dataclass(frozen=True, kw_only=True)
class ChosenTake:
    """What stands for a shot in the last film: the take, if any, and the caption it was made for."""

    caption: str
    take: str | None
    skipped: bool = False


BACK: Final = "back at an earlier take, the one these settings ask for"

Action = Literal["render", "keep", "absent", "skip"]


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """What becomes of one shot.

    `render`: a new take is made. `keep`: take `take` stays. `absent`: no take, and none was asked
    for. `skip`: left out of the film. `before` is what stood for the shot in the last film. `context`
    holds (shot, take id) of what the shot may look at, `reason` the why in words, where there is
    something to say.
    """

    index: int
    action: Action
    inputs: TakeInputs
    take: str | None = None
    before: ChosenTake | None = None
    context: tuple[tuple[int, str], ...] = ()
    reason: str = ""


def plan(
    board: Storyboard,
    model: str,
    *,
    finished: Collection[str] = (),
    chosen: Sequence[ChosenTake] = (),
    only: Collection[int] | None = None,
    resume: bool = False,
) -> tuple[PlannedShot, ...]:
    """One entry per shot, in order.

    `finished` are the ids of takes that are there, `chosen` says which the last film used, shot by
    shot. Only the shots in `only` are rendered (all where None), with `resume` only those of them
    whose take is missing or outdated. A locked shot keeps its chosen take, if that was made for the
    caption it has now.
    """
    before = _recognised(board, chosen)
    captions = compose_captions(board)
    context: list[tuple[int, str]] = []
    planned = []
    for index, shot in enumerate(board.shots):
        inputs = inputs_of(
            board, model, index, caption=captions[index], context=context, seed=shot_seed(board, index)
        )
        last = before.get(index)
        action, take, reason = _decide(
            shot,
            wanted=only is None or index in only,
            resume=resume,
            own=inputs.take_id,
            last=last if last is not None and last.take in finished else None,
            finished=finished,
        )
        planned.append(
            PlannedShot(
                index=index,
                action=action,
                inputs=inputs,
                take=take,
                before=last,
                context=tuple(context),
                reason=reason,
            )
        )
        if take is not None:
            context.append((index, take))
    return tuple(planned)


def _recognised(board: Storyboard, chosen: Sequence[ChosenTake]) -> dict[int, ChosenTake]:
    """What of the last film stood for which shot: told by its caption, wherever the shot is now.

    In a film of as many shots, one whose caption was edited is told by its place.
    """
    left = dict(enumerate(chosen))
    found: dict[int, ChosenTake] = {}
    for index, shot in enumerate(board.shots):
        same = next((place for place, choice in left.items() if choice.caption == shot.caption), None)
        if same is not None:
            found[index] = left.pop(same)
    if len(chosen) == len(board.shots):
        found |= {index: choice for index, choice in left.items() if index not in found}
    return found


def _decide(
    shot: Shot,
    *,
    wanted: bool,
    resume: bool,
    own: str,
    last: ChosenTake | None,
    finished: Collection[str],
) -> tuple[Action, str | None, str]:
    if shot.skip:
        return "skip", None, "skipped"
    if shot.lock and last is not None and last.caption == shot.caption:
        return "keep", last.take, "locked" if last.take == own else "locked, though outdated"
    if wanted and not (resume and own in finished):
        if shot.lock:
            return "render", own, "locked, but has no take of this caption yet"
        return "render", own, "outdated" if resume and last is not None else ""
    if own in finished:
        return "keep", own, "" if last is None or last.take == own else BACK
    if last is not None:
        return "keep", last.take, "outdated"
    return "absent", None, "not rendered yet"
