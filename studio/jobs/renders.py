"""From a claimed job to a kept take: what a render sees is frozen at the claim, what it made is kept whole.

Each function is part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from moc_engine.contract import RenderRequest, RenderResult
from moc_engine.errors import RenderCancelled
from moc_engine.trace.record import RoutingTrace
from studio.domain.errors import Refused
from studio.domain.inputs import TakeInputs
from studio.domain.planner import shot_statuses
from studio.domain.project import Project
from studio.domain.storyboard import shot_seed
from studio.jobs import queue
from studio.jobs.job import Claim
from studio.jobs.requests import Seen, request_for
from studio.store import projects, takes
from studio.store.artifacts import Artifact, Artifacts
from studio.store.casting import with_inferred_cast
from studio.store.filmstrip import write_filmstrip
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What a job renders: its inputs, and the takes it may look at as (place, shot id, take).

    `before` is the shot with its choice as they stood, `finished` the take that these inputs made already.
    """

    inputs: TakeInputs
    caption: str
    place: int
    context: tuple[tuple[int, str, StoredTake], ...]
    before: object
    rolled_from: int | None
    finished: str | None
    model: str | None


def freeze(session: Session, claim: Claim, identify: Callable[[str | None], str]) -> Frozen:
    """Fixes what the claimed job is about to render. Raises `Refused` where nothing is to be rendered."""
    stored = projects.load(session, claim.project)
    project, known = with_inferred_cast(stored.project), takes.takes_of(session, claim.project)
    place = project.place(claim.order.shot)
    if place is None:
        raise Refused("the shot was deleted")
    shot = project.board.shots[place]
    for word, hinders in (("locked", shot.lock), ("skipped", shot.skip)):
        if hinders:
            raise Refused(f"the shot is {word}")
    if not shot.caption:
        raise Refused("the shot has no caption yet")
    status = shot_statuses(project, known, identify(project.board.settings.model))[place]
    inputs, pairs = status.inputs, status.context
    chosen = known.get(status.take or "")
    if claim.order.keep_context and chosen is not None:
        pairs = tuple(pair for pair in chosen.context if pair[1] in known)
        inputs = replace(
            inputs,
            context=tuple(take for _, take in pairs),
            pins=chosen.inputs.pins,
            bans=chosen.inputs.bans,
            boosts=chosen.inputs.boosts,
        )
    if claim.order.seed is not None:
        inputs = replace(inputs, seed=claim.order.seed)
    asked = shot_seed(project.board, place)
    places = _numbers([project.place(shot_id) for shot_id, _ in pairs], place)
    return Frozen(
        inputs=inputs,
        caption=shot.caption,
        place=max([place, *(number + 1 for number in places)]),
        context=tuple(
            (number, shot_id, known[take]) for number, (shot_id, take) in zip(places, pairs, strict=True)
        ),
        before=_as_it_stands(stored.project, claim.order.shot),
        rolled_from=None if inputs.seed == asked else asked,
        finished=inputs.take_id if inputs.take_id in known else None,
        model=project.board.settings.model,
    )


def request_of(frozen: Frozen, artifacts: Artifacts, output: Path) -> RenderRequest:
    """What the engine is asked for."""
    context = [
        Seen(
            id=take.id,
            place=number,
            inputs=take.inputs,
            latents=artifacts.path(take.latents, ".safetensors"),
        )
        for number, _, take in frozen.context
    ]
    return request_for(frozen.inputs, place=frozen.place, context=context, output=output)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished render whose files are in their places."""

    take: StoredTake
    artifacts: tuple[Artifact, ...]


def gather(frozen: Frozen, result: RenderResult, artifacts: Artifacts, now: float) -> Made:
    """Puts a render's files among the artifacts, with a strip of pictures, and describes the take."""
    thumbnail = result.clip.with_name("filmstrip.jpg")
    write_filmstrip(result.clip, thumbnail)
    trace = RoutingTrace.load(result.trace)
    files = [artifacts.put(file) for file in (result.clip, result.latents, result.trace, thumbnail)]
    clip, latents, routing, pictures = (file.digest for file in files)
    take = StoredTake(
        id=frozen.inputs.take_id,
        inputs=frozen.inputs,
        caption=frozen.caption,
        frames=result.frames,
        context=tuple((shot, take.id) for _, shot, take in frozen.context),
        links={link.take: link.share for link in trace.links() if link.take is not None},
        strongest=trace.strongest(),
        rolled_from=frozen.rolled_from,
        backend=result.backend,
        timings={str(stage): round(seconds, 4) for stage, seconds in result.timings.items()},
        own_share=trace.own_share(),
        caption_share=trace.caption_share(),
        clip=clip,
        latents=latents,
        trace=routing,
        thumbnail=pictures,
        created=now,
    )
    return Made(take=take, artifacts=tuple(files))


def commit(session: Session, claim: Claim, frozen: Frozen, made: Made | None, now: float) -> None:
    """Keeps a finished take and ends the job; without `made` the take was there already.

    The take becomes the chosen one unless the shot or its choice was changed since the claim, or it was
    ordered only to be looked at. Raises `LostClaim` where the job was taken away, and `RenderCancelled` where
    somebody cancelled it; nothing is kept then.
    """
    if not queue.beat(session, claim, now):
        raise RenderCancelled("the render was cancelled")
    take = frozen.inputs.take_id
    if made is not None:
        takes.keep_artifacts(session, made.artifacts, now)
        takes.keep(session, claim.project, made.take)
    projects.add_to_strip(session, claim.project, claim.order.shot, take, now)
    project = projects.project_of(session, claim.project)
    untouched = _as_it_stands(project, claim.order.shot) == frozen.before
    if untouched and (claim.order.replace or claim.order.shot not in project.chosen):
        projects.choose(session, claim.project, claim.order.shot, take)
    queue.finish(session, claim, take, now)


def _as_it_stands(project: Project, shot: str) -> object:
    place = project.place(shot)
    if place is None:
        return None
    return project.board.shots[place], project.chosen.get(shot)


def _numbers(places: list[int | None], own: int) -> list[int]:
    """The numbers by which the engine knows the context's shots: their places, where these are in order."""
    told = [place for place in places if place is not None]
    if len(told) == len(places) and told == sorted(set(told)) and all(place < own for place in told):
        return told
    return list(range(len(places)))
