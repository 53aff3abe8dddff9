"""Render jobs: their inputs are fixed at the claim, and the finished take is stored whole or not at all.

    claim ─► freeze_request ─► engine_request ─► the engine renders ─► collect_take ─► commit_take

Functions with a session are part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from moc_engine.contract import RenderRequest, RenderResult
from moc_engine.errors import RenderCancelled
from moc_engine.stored_file import LocalFile, StoredFile
from moc_engine.trace.trace_file import read_trace
from studio import __version__
from studio.domain.errors import Refused
from studio.domain.file_types import PICTURE
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import RenderingModel, TakeInputs, loras_of, reference, take_frame
from studio.domain.messages import message
from studio.domain.model_names import model_name
from studio.domain.named_pictures import references
from studio.domain.planner import after_rendering, chosen_take, shot_statuses
from studio.domain.project import Project
from studio.domain.storyboard import Storyboard, lora_files, shot_seed
from studio.jobs import claims
from studio.jobs.dependencies import project_renders
from studio.jobs.job import Claim
from studio.jobs.order import RenderOrder
from studio.jobs.requests import context_take, request_for
from studio.store import artifact_rows, picture_rows, projects, takes
from studio.store.artifacts import Artifact, Artifacts
from studio.store.clip_file import picture_at, png
from studio.store.clock import database_time
from studio.store.filmstrip import write_filmstrip
from studio.store.inferred_cast import with_inferred_cast
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class RenderClaim:
    """A claim on a render job: its project and its order."""

    claim: Claim
    project: str
    order: RenderOrder


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """A picture that the studio keeps, or a `frame` of a clip, by the digest of its file."""

    artifact: str
    frame: int | None = None


@dataclass(frozen=True, kw_only=True)
class FrozenRequest:
    """What a job renders: its inputs, and the takes of its context as (index, shot id, take), of which those
    that it bans may be yet to come.

    `before` is the shot with its chosen take at the claim. `finished` is the take that these inputs made
    already, if any. `loras` are the files of those in the inputs; `guide`, `control` and `references` are the
    digests of clips and pictures.
    """

    inputs: TakeInputs
    caption: str
    index: int
    context: tuple[tuple[int, str, FinishedTake], ...]
    before: object
    rolled_from: int | None
    finished: str | None
    model: str | None
    loras: tuple[str, ...]
    first_frame: FirstFrame | None
    guide: str | None
    control: str | None
    references: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A model and the files of LoRAs."""

    model: str | None
    loras: tuple[str, ...]


def weights_of(session: Session, claim: RenderClaim) -> Weights:
    """What the job's project renders with."""
    project = projects.project_of(session, claim.project).switched_to(claim.order.lane)
    return Weights(model=project.settings.model, loras=lora_files(project.board))


def begin(session: Session, claim: RenderClaim) -> Weights:
    """As `weights_of`, and notes in the job what its model is called. Raises `LostClaim`."""
    weights = weights_of(session, claim)
    claims.note_model(session, claim.claim, model_name(weights.model))
    return weights


def freeze_request(session: Session, claim: RenderClaim, model: RenderingModel) -> FrozenRequest:
    """Fixes what the claimed job renders. Raises `Refused` where nothing is to be rendered.

    `model` is the project's, with the LoRAs that its project has.
    """
    projects.refuse_trashed(session, claim.project)
    stored = projects.load(session, claim.project)
    project = with_inferred_cast(stored.project).switched_to(claim.order.lane)
    known = takes.takes_of(session, claim.project)
    index = project.index_of(claim.order.shot)
    if index is None:
        raise Refused(message("shot-deleted"))
    shot = project.board.shots[index]
    locked = shot.lock and chosen_take(project, known, shot.id) is not None
    for code, hinders in (("shot-locked", locked), ("shot-skipped", shot.skip)):
        if hinders:
            raise Refused(message(code))
    if not shot.caption:
        raise Refused(message("shot-without-caption"))
    coming = project_renders(session, claim.project).foretold(claim.claim.job)
    foretold, seen = after_rendering(project, known, model, coming)
    status = shot_statuses(foretold, seen, model)[index]
    inputs, pairs = status.inputs, status.context
    chosen = known.get(status.take or "")
    if claim.order.keep_context and chosen is not None:
        pairs = tuple(pair for pair in chosen.context if pair[1] in known)
        then = chosen.inputs
        inputs = replace(
            inputs,
            context=tuple(take for _, take in pairs),
            pins=then.pins,
            bans=then.bans,
            boosts=then.boosts,
            first_frame=then.first_frame if model.can("first_frame") else None,
            guide=then.guide if model.can("guide") else None,
            guide_strength=then.guide_strength if model.can("guide") else None,
            control=then.control if model.can("control") else None,
            control_scale=then.control_scale if model.can("control") else None,
        )
    if claim.order.seed is not None:
        inputs = replace(inputs, seed=claim.order.seed)
    own_seed = shot_seed(project.board, index)
    frame = _first_frame(session, claim.project, project, index, inputs, known)
    numbers = _context_numbers([project.index_of(shot_id) for shot_id, _ in pairs], index)
    return FrozenRequest(
        inputs=inputs,
        caption=shot.caption,
        index=max([index, *(number + 1 for number in numbers)]),
        context=tuple(
            (number, shot_id, seen[take]) for number, (shot_id, take) in zip(numbers, pairs, strict=True)
        ),
        before=_shot_and_choice(project, claim.order.shot),
        rolled_from=None if inputs.seed == own_seed else own_seed,
        finished=inputs.take_id if inputs.take_id in known and not claim.order.again else None,
        model=project.settings.model,
        loras=tuple(lora.file for lora in loras_of(project.board, index, model, project.settings)),
        first_frame=frame,
        guide=_draft(index, inputs.guide, known),
        control=_draft(index, inputs.control, known),
        references=_references(session, claim.project, project.board, index, inputs),
    )


def _draft(index: int, take: str | None, known: Mapping[str, StoredTake]) -> str | None:
    """The digest of the clip of a draft that a shot is made from. Raises `Refused` where it is gone."""
    if take is None:
        return None
    if take not in known:
        raise Refused(message("guide-gone", shot=index + 1))
    return known[take].clip


def _references(
    session: Session, owner: str, board: Storyboard, index: int, inputs: TakeInputs
) -> tuple[str, ...]:
    """The pictures of whom a shot shows. Raises `Refused` for one that is not there."""
    whose = {reference(picture): name for name, picture in references(board, index).items()}
    for picture in inputs.references:
        if not picture_rows.is_kept(session, owner, picture):
            raise Refused(message("reference-gone", name=whose[picture]))
    return inputs.references


def _first_frame(
    session: Session,
    owner: str,
    project: Project,
    index: int,
    inputs: TakeInputs,
    known: Mapping[str, StoredTake],
) -> FirstFrame | None:
    """The file of a first frame. Raises `Refused` where it is not there."""
    if inputs.first_frame is None:
        return None
    kind, _, name = inputs.first_frame.partition(":")
    frame = take_frame(inputs.first_frame)
    if frame is not None and frame.take in known:
        return FirstFrame(artifact=known[frame.take].clip, frame=frame.frame)
    if kind == "picture" and picture_rows.is_kept(session, owner, name):
        return FirstFrame(artifact=name)
    if kind == "shot":
        other = project.index_of(name)
        assert other is not None
        raise Refused(message("first-frame-without-take", shot=index + 1, other=other + 1))
    if kind == "file":
        raise Refused(message("first-frame-unread", shot=index + 1, file=name))
    raise Refused(message("first-frame-gone", shot=index + 1))


def engine_request(frozen: FrozenRequest, artifacts: Artifacts, output: Path) -> RenderRequest:
    """The request to the engine, which writes its files into the folder `output`."""
    context = tuple(
        context_take(
            number,
            take,
            artifacts.file(take.latents, ".safetensors") if isinstance(take, StoredTake) else None,
        )
        for number, _, take in frozen.context
    )
    return request_for(
        frozen.inputs,
        index=frozen.index,
        context=context,
        loras=frozen.loras,
        first_frame=_first_frame_file(frozen.first_frame, artifacts, output),
        guide=None if frozen.guide is None else artifacts.file(frozen.guide, ".mp4"),
        control=None if frozen.control is None else artifacts.file(frozen.control, ".mp4"),
        references=tuple(artifacts.file(picture, PICTURE) for picture in frozen.references),
        output=output,
    )


def _first_frame_file(frame: FirstFrame | None, artifacts: Artifacts, folder: Path) -> StoredFile | None:
    """The picture that a shot starts with; a frame of a clip is written into the folder."""
    if frame is None:
        return None
    if frame.frame is None:
        return artifacts.file(frame.artifact, PICTURE)
    picture = folder / f"first-frame{PICTURE}"
    with artifacts.file(frame.artifact, ".mp4").local() as clip:
        picture.write_bytes(png(picture_at(clip, frame.frame)))
    return LocalFile(picture)


@dataclass(frozen=True, kw_only=True)
class CollectedTake:
    """A finished take, its files, and where these are stored."""

    take: StoredTake
    artifacts: tuple[Artifact, ...]
    store: Artifacts


def files_of(result: RenderResult) -> tuple[Path, ...]:
    """A render's clip, latents, trace and filmstrip, which is written if there is none."""
    filmstrip = result.filmstrip
    if filmstrip is None:
        filmstrip = result.clip.with_name("filmstrip.jpg")
        write_filmstrip(result.clip, filmstrip)
    return result.clip, result.latents, result.trace, filmstrip


def collect_take(
    frozen: FrozenRequest,
    result: RenderResult,
    artifacts: Sequence[Artifact],
    store: Artifacts,
    now: float,
) -> CollectedTake:
    """Describes the take of a render whose `files_of` are in the store as these artifacts, in their order."""
    trace = read_trace(result.trace)
    clip, latents, routing, thumbnail = (artifact.digest for artifact in artifacts)
    take = StoredTake(
        id=frozen.inputs.take_id,
        inputs=frozen.inputs,
        caption=frozen.caption,
        frames=result.frames,
        context=tuple((shot, take.id) for _, shot, take in frozen.context),
        links={link.take: link.share for link in trace.links() if link.take is not None},
        strongest=trace.strongest(),
        rolled_from=frozen.rolled_from,
        lora_files=frozen.loras,
        backend=result.backend,
        program=f"moc-studio {__version__}",
        model_name=model_name(frozen.model),
        device=result.device,
        dtype=result.dtype,
        timings={str(stage): round(seconds, 4) for stage, seconds in result.timings.items()},
        own_share=trace.own_share(),
        caption_share=trace.caption_share(),
        clip=clip,
        latents=latents,
        trace=routing,
        thumbnail=thumbnail,
        created=now,
    )
    return CollectedTake(take=take, artifacts=tuple(artifacts), store=store)


def commit_take(
    session: Session, claim: RenderClaim, frozen: FrozenRequest, collected: CollectedTake | None
) -> None:
    """Stores a finished take and ends the job; without `collected` the take was stored before.

    The take becomes the chosen one unless the shot or its choice changed since the claim, or the order was
    not to replace it. Raises `LostClaim` where the job was taken away, and `RenderCancelled` where somebody
    cancelled it, `ArtifactGone` where a file is to be stored again; nothing is noted then.
    """
    if not claims.heartbeat(session, claim.claim):
        raise RenderCancelled("the render was cancelled")
    take, shot, now = frozen.inputs.take_id, claim.order.shot, database_time(session)
    if collected is not None:
        artifact_rows.keep(session, collected.store, collected.artifacts, now)
        takes.keep(session, claim.project, collected.take)
    projects.add_to_strip(session, claim.project, shot, take, now)
    project = projects.project_of(session, claim.project).in_lane(claim.order.lane)
    unchanged = _shot_and_choice(project, shot) == frozen.before
    if unchanged and (claim.order.replace or shot not in project.current):
        projects.choose(session, claim.project, shot, take, claim.order.lane)
    claims.finish(session, claim.claim, take)


def _shot_and_choice(project: Project, shot: str) -> object:
    index = project.index_of(shot)
    if index is None:
        return None
    return project.lane, project.board.shots[index], project.current.get(shot)


def _context_numbers(indices: list[int | None], own: int) -> list[int]:
    """The numbers of the context's shots in the request: their indices, where these ascend to the own one."""
    known = [index for index in indices if index is not None]
    if len(known) == len(indices) and known == sorted(set(known)) and all(index < own for index in known):
        return known
    return list(range(len(indices)))
