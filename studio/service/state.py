"""The states of projects that views show: times in seconds, indices from 0."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from moc_engine.abilities import LACKS
from moc_engine.model_abilities import needs_first_frame
from moc_engine.own_settings import OwnSettings
from studio.domain.inputs import RenderingModel
from studio.domain.model_names import EMBEDDED_NAME, model_name
from studio.domain.planner import ShotStatus, chosen_take
from studio.domain.project import Lane, Project
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import ShotSteering, Storyboard, first_frame_source, steering
from studio.jobs.estimate import Rates
from studio.service.form_values import FieldValue, shown
from studio.service.lora_samplers import LoraSampler, lora_samplers
from studio.service.missing_pictures import missing_pictures
from studio.service.models import Model, rates_of, time_is_known
from studio.service.reason_words import in_words
from studio.service.setting_words import POLICIES, POSITIONS, ROUTERS, SCHEDULERS, STORAGES
from studio.service.unknown_words import find_unknown_words
from studio.service.unused_settings import NEEDED
from studio.store.inferred_cast import infer_cast
from studio.store.projects import Stored
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class UnknownSpan:
    """A word that the model does not know, at start:stop of a text, and a similar known one."""

    start: int
    stop: int
    suggestion: str | None


@dataclass(frozen=True, kw_only=True)
class TakeState:
    """A take in a shot's strip. `model` is what the model is called that made it; `context` are (index of the
    shot that shows it now or None, share).
    """

    id: str
    seed: int
    seconds: float
    frames: int
    fps: float
    size: tuple[int, int]
    caption: str
    model: str
    created: float
    spent: float
    backend: str
    own_share: float | None
    context: tuple[tuple[int | None, float], ...]
    chosen: bool
    discarded: bool


@dataclass(frozen=True, kw_only=True)
class ShotState:
    """A shot on the timeline. `begins` is its start in the cut, which leaves skipped shots out.

    `first_frame_at` is the index of the shot with whose last frame it starts, None where it starts with none
    or with a picture; `needs_first_frame`: it starts with none, and the model needs one. `take` is the chosen
    one in the lane that is worked in, `other_take` that in the other.
    """

    id: str
    caption: str
    begins: float
    seconds: float
    trim: float
    seed: int | None
    lock: bool
    skip: bool
    negative_prompt: str | None
    loras: tuple[Lora, ...]
    first_frame: str | None
    first_frame_at: int | None
    needs_first_frame: bool
    guide_strength: float | None
    control_scale: float | None
    pins: tuple[str, ...]
    bans: tuple[str, ...]
    boosts: Mapping[str, float]
    dormant: tuple[int | None, ...]
    state: str
    due: bool
    reasons: tuple[str, ...]
    reason_codes: tuple[str, ...]
    influence: float
    take: str | None
    other_take: str | None
    takes: tuple[TakeState, ...]
    unknown: tuple[UnknownSpan, ...]


@dataclass(frozen=True, kw_only=True)
class CastState:
    """A cast member, and the words of the look that the model does not know.

    `picture` is a text as `studio.domain.picture_name` has it.
    """

    name: str
    look: str | None
    picture: str | None
    unknown: tuple[UnknownSpan, ...]


@dataclass(frozen=True, kw_only=True)
class ProjectState:
    """A project as it was at `stamp`; `due` shots are to be rendered, in about `due_seconds`, if
    `time_known`: of a model that rendered none of its takes it is not.

    `lacks` says why settings of the film or of shots have no effect, by name: the model cannot use them.
    `defaults` are the model's own values of settings, by name, as they would be entered.
    `fields` are the values of the forms' fields, by name, as they are shown.
    `missing_pictures` says of pictures that the storyboard names, by their names, that they are not there.
    `lora_samplers` are the samplers that the film's LoRAs need.
    """

    id: str
    revision: int
    stamp: str
    title: str
    style: str
    style_unknown: tuple[UnknownSpan, ...]
    size: tuple[int, int]
    fps: float
    seed: int
    seconds: float
    settings: Settings
    fields: Mapping[str, FieldValue]
    lacks: Mapping[str, str]
    lora_samplers: tuple[LoraSampler, ...]
    lane: Lane
    has_lanes: bool
    defaults: Mapping[str, str]
    cast: tuple[CastState, ...]
    shots: tuple[ShotState, ...]
    missing_pictures: Mapping[str, str]
    undo: str | None
    redo: str | None
    due: int
    due_seconds: float
    time_known: bool


def project_state(
    stored: Stored,
    takes: Mapping[str, StoredTake],
    strips: Mapping[str, Sequence[str]],
    kept: Collection[str],
    statuses: Sequence[ShotStatus],
    model: Model,
) -> ProjectState:
    """The state of a project that renders with this model, and has the pictures `kept` by their digests."""
    project, board = stored.project, stored.project.board
    unknown = _unknown(project) if model.known_words_only else {}
    rates = rates_of(takes.values(), model)
    other = project.in_lane("draft" if project.lane == "final" else "final")
    indices = {
        take: project.index_of(shot) for lane in (other, project) for shot, take in lane.current.items()
    }
    due = [status for status in statuses if status.due]
    from_pictures = needs_first_frame(project.settings.model)
    shots = []
    begins = 0.0
    for status, shot in zip(statuses, board.shots, strict=True):
        steered: ShotSteering = steering(board, status.index)
        source = first_frame_source(board, status.index)
        twin = chosen_take(other, takes, shot.id) if project.has_lanes else None
        other_take = None if twin is None else twin.id
        shots.append(
            ShotState(
                id=shot.id,
                caption=shot.caption,
                begins=begins,
                seconds=shot.seconds,
                trim=shot.trim,
                seed=shot.seed,
                lock=shot.lock,
                skip=shot.skip,
                negative_prompt=shot.negative_prompt,
                loras=shot.loras,
                first_frame=shot.first_frame,
                guide_strength=shot.guide_strength,
                control_scale=shot.control_scale,
                first_frame_at=None if source is None else source.index,
                needs_first_frame=from_pictures and status.inputs.first_frame is None,
                pins=shot.pins,
                bans=shot.bans,
                boosts=shot.boosts,
                dormant=steered.dormant,
                state=status.state,
                due=status.due,
                reasons=tuple(in_words(reason) for reason in status.reasons),
                reason_codes=tuple(reason.code for reason in status.reasons),
                influence=status.influence,
                take=status.take,
                other_take=other_take,
                takes=_strip(project, takes, strips.get(shot.id, ()), status, indices, other_take),
                unknown=unknown.get(("shots", status.index, "caption"), ()),
            )
        )
        begins += 0.0 if shot.skip else shot.seconds
    return ProjectState(
        id=stored.id,
        revision=stored.revision,
        stamp=stamp_of(stored, strips, model),
        title=board.title,
        style=board.style,
        style_unknown=unknown.get(("style",), ()),
        size=board.size,
        fps=float(board.fps),
        seed=board.seed,
        seconds=begins,
        settings=board.settings,
        fields=shown(board),
        lacks=_lacks(project.settings.model, model.rendering),
        lora_samplers=lora_samplers(lora.file for lora in board.settings.loras if lora.weight),
        lane=project.lane,
        has_lanes=project.has_lanes,
        defaults={} if model.own_settings is None else _defaults(model.own_settings),
        cast=tuple(
            CastState(
                name=m.name, look=m.look, picture=m.picture, unknown=unknown.get(("cast", i, "look"), ())
            )
            for i, m in enumerate(board.cast)
        ),
        shots=tuple(shots),
        missing_pictures=missing_pictures(project, kept),
        undo=stored.undo,
        redo=stored.redo,
        due=len(due),
        time_known=time_is_known(takes.values(), model),
        due_seconds=sum(expected(rates, status) for status in due),
    )


def _lacks(name: str | None, model: RenderingModel) -> dict[str, str]:
    """Why settings have no effect, by their names."""
    called = f"The model {EMBEDDED_NAME}" if name is None else "This model"
    return {
        setting: f"{called} {LACKS[ability]}."
        for setting, ability in NEEDED.items()
        if not model.can(ability)
    }


def _defaults(own: OwnSettings) -> dict[str, str]:
    """A model's own values of settings, as they are entered or chosen; those it has none for are left out."""
    sampler, memory = own.sampler, own.memory
    values = {
        "steps": f"{sampler.steps}",
        "guidance": f"{sampler.guidance:g}",
        "guidance_2": "" if sampler.guidance_2 is None else f"{sampler.guidance_2:g}",
        "scheduler": SCHEDULERS.get(own.scheduler or "", ""),
        "shift": "" if own.shift is None else f"{own.shift:g}",
        "negative_prompt": own.negative_prompt,
        "fps": "" if own.fps is None else f"{own.fps:g}",
        "size": "" if own.size is None else "{}x{}".format(*own.size),
        "step_cache": "none",
        "memory_policy": POLICIES.get(memory.policy, memory.policy),
        "keyframes": f"{memory.keyframes}" if memory.policy in ("spread", "change") else "",
        "memory_storage": STORAGES[memory.storage],
        "positions": POSITIONS[memory.positions],
        "router": ROUTERS["moc"],
    }
    return {name: value for name, value in values.items() if value}


def stamp_of(stored: Stored, strips: Mapping[str, Sequence[str]], model: Model) -> str:
    """A value that changes whenever something of the project that is shown changes."""
    chosen = sorted(stored.project.chosen.items()), sorted(stored.project.drafts.items())
    shown = stored.revision, chosen, sorted(map(len, strips.values())), model.rendering
    return f"{stored.revision}-{zlib.crc32(repr(shown).encode()):08x}"


def unknown_spans(project: Project, text: str) -> tuple[UnknownSpan, ...]:
    """The words of a text that the model does not know."""
    if not text.strip():
        return ()
    board = Storyboard(title="text", cast=project.board.cast, style=text)
    return _unknown(Project(board=board)).get(("style",), ())


def expected(rates: Rates, status: ShotStatus) -> float:
    """The expected seconds of a shot's render."""
    return rates.seconds(status.inputs)


def _strip(
    project: Project,
    takes: Mapping[str, StoredTake],
    strip: Sequence[str],
    status: ShotStatus,
    indices: Mapping[str, int | None],
    other: str | None,
) -> tuple[TakeState, ...]:
    names = dict.fromkeys((*strip, *(take for take in (status.take, other) if take)))
    return tuple(
        TakeState(
            id=take.id,
            seed=take.inputs.seed,
            seconds=take.seconds,
            frames=take.frames,
            fps=float(take.inputs.fps),
            size=take.inputs.size,
            caption=take.caption,
            model=take.model_name or model_name(take.inputs.model),
            created=take.created,
            spent=sum(take.timings.values()),
            backend=take.backend,
            own_share=take.own_share,
            context=tuple((indices.get(seen), take.share(seen)) for _, seen in take.context),
            chosen=take.id == status.take,
            discarded=take.id in project.discarded,
        )
        for take in (takes[name] for name in names if name in takes)
    )


def _unknown(project: Project) -> dict[tuple[str | int, ...], tuple[UnknownSpan, ...]]:
    shown = replace(project.board, shots=tuple(replace(shot, skip=False) for shot in project.board.shots))
    spans: dict[tuple[str | int, ...], tuple[UnknownSpan, ...]] = {}
    for word in find_unknown_words(infer_cast(shown)):
        span = UnknownSpan(start=word.start, stop=word.end, suggestion=word.suggestion)
        spans[word.field] = (*spans.get(word.field, ()), span)
    return spans
