"""What to render and why: from a storyboard and the takes that are there, without touching either."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from studio.storyboard import Storyboard, compose_captions, shot_seed, steering


@dataclass(frozen=True, kw_only=True)
class TakeInputs:
    """Everything that decides a take's pixels.

    `context` and the steering name takes, not shots, so that a take stays what it is when shots
    around it move. None leaves a choice to the model; `model` says which one, to the weights.
    """

    model: str
    caption: str
    global_caption: str
    cast: tuple[str, ...]
    seconds: float
    fps: float
    size: tuple[int, int]
    seed: int
    steps: int | None = None
    guidance: float | None = None
    top_k: int | None = None
    context: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    boosts: Mapping[str, float] = field(default_factory=dict)

    @property
    def take_id(self) -> str:
        """Equal inputs give equal pixels, so the inputs' digest names the take."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


Action = Literal["render", "keep", "absent", "skip"]


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """What becomes of one shot.

    `render`: a new take is made. `keep`: take `take` stays. `absent`: no take, and none was asked
    for. `skip`: left out of the film. `context` holds (shot, take id) of what the shot may look at,
    `reason` the why in words, where there is something to say.
    """

    index: int
    action: Action
    inputs: TakeInputs
    take: str | None = None
    context: tuple[tuple[int, str], ...] = ()
    reason: str = ""


def plan(
    board: Storyboard,
    model: str,
    *,
    finished: Collection[str] = (),
    chosen: Mapping[int, str] | None = None,
    only: Collection[int] | None = None,
    resume: bool = False,
) -> tuple[PlannedShot, ...]:
    """One entry per shot, in order.

    `finished` are the ids of takes that are there, `chosen` maps shots to the takes the last film
    used. Only the shots in `only` are rendered (all where None), with `resume` only those of them
    whose take is missing or outdated. A locked shot keeps its chosen take.
    """
    chosen = chosen or {}
    captions = compose_captions(board)
    context: list[tuple[int, str]] = []
    planned = []
    for index, shot in enumerate(board.shots):
        inputs = _inputs(board, model, index, captions[index], context)
        action, take, reason = _decide(
            skip=shot.skip,
            lock=shot.lock,
            wanted=only is None or index in only,
            resume=resume,
            own=inputs.take_id,
            current=chosen.get(index) if chosen.get(index) in finished else None,
            finished=finished,
        )
        planned.append(
            PlannedShot(
                index=index, action=action, inputs=inputs, take=take, context=tuple(context), reason=reason
            )
        )
        if take is not None:
            context.append((index, take))
    return tuple(planned)


def _decide(
    *,
    skip: bool,
    lock: bool,
    wanted: bool,
    resume: bool,
    own: str,
    current: str | None,
    finished: Collection[str],
) -> tuple[Action, str | None, str]:
    if skip:
        return "skip", None, "skipped"
    if lock and current is not None:
        return "keep", current, "locked" if current == own else "locked, though outdated"
    if wanted and not (resume and own in finished):
        return "render", own, "outdated" if resume and current is not None else ""
    if own in finished:
        return "keep", own, ""
    if current is not None:
        return "keep", current, "outdated"
    return "absent", None, "not rendered yet"


def _inputs(
    board: Storyboard, model: str, index: int, caption: str, context: list[tuple[int, str]]
) -> TakeInputs:
    steered = steering(board, index)
    take_of = dict(context)
    return TakeInputs(
        model=model,
        caption=caption,
        global_caption=board.style,
        cast=board.names,
        seconds=board.shots[index].seconds,
        fps=board.fps,
        size=board.size,
        seed=shot_seed(board, index),
        steps=board.settings.steps,
        guidance=board.settings.guidance,
        top_k=board.settings.top_k,
        context=tuple(take for _, take in context),
        pins=tuple(take_of[shot] for shot in steered.pins if shot in take_of),
        bans=tuple(take_of[shot] for shot in steered.bans if shot in take_of),
        boosts={take_of[shot]: boost for shot, boost in steered.boosts.items() if shot in take_of},
    )
