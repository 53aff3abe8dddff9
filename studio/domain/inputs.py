"""Everything that decides a take's pixels, and how it follows from a storyboard."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from fractions import Fraction
from typing import Any, Final, TypeVar

from moc_engine.names import mentioned
from studio.domain.frame_rate import exact_rate, rate_to_json
from studio.domain.named_pictures import references
from studio.domain.picture_name import picture_name
from studio.domain.settings import (
    Expert,
    FullBelow,
    Lora,
    Positions,
    Scheduler,
    Settings,
    StepCache,
    Storage,
    together,
)
from studio.domain.storyboard import Steered, Storyboard, steering

T = TypeVar("T")

_TAKE_FRAME: Final = re.compile(r"take:([^@]+)@([0-9]{1,9})")

INPUTS_VERSION: Final = 2
"""The version of `TakeInputs` records. A new field with a default does not change it; a field that changes
its meaning does, and needs a migration of the stored takes."""


Ability = str
"""Something that not every model can do, by the engine's name (`moc_engine.abilities`)."""


UsedLora = tuple[str, float, Expert]
"""A LoRA: its identity, such as the digest of its file, its weight, and the expert that it is for."""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A draft that a final starts from, and how much it is changed, above 0 to 1."""

    take: str
    strength: float


@dataclass(frozen=True, kw_only=True)
class Control:
    """A draft that a final follows throughout, and how closely, above 0 to 2."""

    take: str
    scale: float


@dataclass(frozen=True, kw_only=True)
class RenderingModel:
    """The model that would render, by its identity, which covers its weights.

    `abilities` are None where they are not known: then nothing is left out. `loras` are the identities of
    LoRAs by their files; one that was not read stands for itself.
    """

    identity: str
    abilities: frozenset[Ability] | None = None
    loras: Mapping[str, str] = field(default_factory=dict)

    def can(self, ability: Ability) -> bool:
        """Whether the model may be asked for this."""
        return self.abilities is None or ability in self.abilities


@dataclass(frozen=True, kw_only=True)
class TakeInputs:
    """Everything that decides a take's pixels.

    `context` and the steering name takes, not shots, so that a take stays valid when shots around it
    move; "TAKE/Mira" steers a part of one. `cast` lists the names in order; only the indices of those that
    the captions name decide anything. None leaves a choice to the model; `model` is the identity of the
    model, which covers its weights. `first_frame` is "take:ID@FRAME" or "picture:DIGEST"; a source that is
    not there yet is named as the storyboard has it, and cannot be rendered. `references` are the digests of
    pictures of cast members, in the order of the cast. `guide` and `control` name takes. The program's
    version, the attention backend, the device and the dtype are recorded beside a take and are not part of
    its inputs.

    Fields are added with a default that stands for what was rendered before there was the field: a field
    that has its default is not recorded and not part of the take's id, so that earlier takes keep theirs.
    """

    model: str
    caption: str
    global_caption: str
    cast: tuple[str, ...]
    seconds: float
    fps: Fraction
    size: tuple[int, int]
    seed: int
    steps: int | None = None
    guidance: float | None = None
    top_k: int | None = None
    full_below: FullBelow | None = None
    context: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    boosts: Mapping[str, float] = field(default_factory=dict)
    negative_prompt: str | None = None
    scheduler: Scheduler | None = None
    shift: float | None = None
    guidance_2: float | None = None
    loras: tuple[UsedLora, ...] = ()
    first_frame: str | None = None
    step_cache: StepCache | None = None
    memory_policy: str | None = None
    keyframes: int | None = None
    memory_storage: Storage | None = None
    positions: Positions | None = None
    guide: str | None = None
    guide_strength: float | None = None
    references: tuple[str, ...] = ()
    control: str | None = None
    control_scale: float | None = None
    router: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", exact_rate(self.fps))

    @property
    def cast_indices(self) -> dict[str, int]:
        """The cast members that the captions name, with their indices in the cast."""
        indices = mentioned(self.caption, self.cast) | mentioned(self.global_caption, self.cast)
        return {self.cast[number]: number for number in sorted(indices)}

    @property
    def take_id(self) -> str:
        """The id of the take: the digest of what decides its pixels, so equal inputs give equal ids."""
        text = json.dumps({**self.record(), "cast": self.cast_indices}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def record(self) -> dict[str, Any]:
        """The inputs as JSON: the version of the record, and every field that has not its default."""
        values = ((name, getattr(self, name), default) for name, default in _defaults(type(self)).items())
        changed = {name: _as_json(value) for name, value, default in values if value != default}
        return {"version": INPUTS_VERSION, **changed}


@dataclass(frozen=True, kw_only=True)
class TakeFrame:
    """A frame of a take, counted from 0."""

    take: str
    frame: int

    def __str__(self) -> str:
        return f"take:{self.take}@{self.frame}"


def take_frame(first_frame: str | None) -> TakeFrame | None:
    """The frame that "take:ID@FRAME" names; None for any other first frame."""
    found = _TAKE_FRAME.fullmatch(first_frame or "")
    return None if found is None else TakeFrame(take=found[1], frame=int(found[2]))


def check_record(record: Mapping[str, Any]) -> None:
    """Raises `ValueError` for a record of inputs that has parts which this version does not know."""
    if record.get("version", INPUTS_VERSION) > INPUTS_VERSION:
        raise ValueError(f"inputs of version {record['version']}; this program knows {INPUTS_VERSION}")
    unknown = record.keys() - _defaults(TakeInputs).keys() - {"version"}
    if unknown:
        raise ValueError(f"inputs with unknown fields: {', '.join(sorted(unknown))}")


def _defaults(kind: type[TakeInputs]) -> Mapping[str, Any]:
    """The default of each field; `MISSING` for those that must be given."""
    return {
        part.name: part.default if part.default_factory is MISSING else part.default_factory()
        for part in fields(kind)
    }


def _as_json(value: Any) -> Any:
    """A field's value as JSON has it."""
    match value:
        case tuple():
            return [_as_json(part) for part in value]
        case Mapping():
            return dict(value)
        case Fraction():
            return rate_to_json(value)
        case _:
            return value


def loras_of(board: Storyboard, index: int, model: RenderingModel, settings: Settings) -> tuple[Lora, ...]:
    """The LoRAs that shot `index` is rendered with, in the order of `TakeInputs.loras`.

    Those of shots are made for the film's model: drafts of another one leave them out.
    """
    if not model.can("loras"):
        return ()
    own = board.shots[index].loras if settings.model == board.settings.model else ()
    return together(settings.loras, own)


def references_of(board: Storyboard, model: RenderingModel, index: int) -> tuple[str, ...]:
    """The pictures of whom shot `index` shows, as `TakeInputs.references` has them."""
    if not model.can("references"):
        return ()
    return tuple(map(reference, references(board, index).values()))


def reference(picture: str) -> str:
    """The digest of a picture; the whole text where the studio does not have it yet."""
    named = picture_name(picture)
    return named.name if named is not None and named.kind == "picture" else picture


def inputs_of(
    board: Storyboard,
    model: RenderingModel,
    index: int,
    *,
    settings: Settings | None = None,
    caption: str,
    context: Sequence[tuple[int, str]],
    seed: int,
    first_frame: str | None = None,
    draft: Guide | Control | None = None,
) -> TakeInputs:
    """The inputs of shot `index`. `caption` is its composed one; `context` is (index of the shot, take id).
    `settings` are those of its lane, the film's where None; `draft` is the one that it is made from.

    Several shots may show one take. It is banned if any of them is, even if another is pinned. Without
    context there is nothing to route and to remember, so that what is about it is left at its default, as is
    what the model cannot do.
    """
    steered = steering(board, index)
    take_of = dict(context)
    shot = board.shots[index]

    def names(targets: Iterable[Steered]) -> dict[Steered, str]:
        """As takes; those of shots that have none are left out."""
        return {
            (other, part): take_of[other] if part is None else f"{take_of[other]}/{part}"
            for other, part in targets
            if other in take_of
        }

    bans = tuple(dict.fromkeys(names(steered.bans).values()))
    pins = dict.fromkeys(names(steered.pins).values())
    boosts = names(steered.boosts)
    settings = settings or board.settings
    guide = draft if isinstance(draft, Guide) and model.can("guide") else None
    control = draft if isinstance(draft, Control) and model.can("control") else None

    def if_able(ability: Ability, value: T | None) -> T | None:
        return value if model.can(ability) else None

    def with_context(value: T | None) -> T | None:
        return value if context else None

    negative = settings.negative_prompt if shot.negative_prompt is None else shot.negative_prompt
    return TakeInputs(
        model=model.identity,
        caption=caption,
        global_caption=board.style,
        cast=board.names,
        seconds=round(shot.trim + shot.seconds, 6),
        fps=board.fps,
        size=board.size,
        seed=seed,
        steps=settings.steps,
        guidance=settings.guidance,
        top_k=settings.top_k,
        full_below=with_context(settings.full_below),
        negative_prompt=if_able("negative_prompt", negative),
        scheduler=if_able("scheduler", settings.scheduler),
        shift=if_able("scheduler", settings.shift),
        guidance_2=if_able("two_experts", settings.guidance_2),
        loras=tuple(
            (model.loras.get(lora.file, lora.file), float(lora.weight), lora.expert)
            for lora in loras_of(board, index, model, settings)
        ),
        first_frame=if_able("first_frame", first_frame),
        step_cache=if_able("step_cache", settings.step_cache),
        memory_policy=with_context(settings.memory_policy),
        keyframes=with_context(settings.keyframes),
        memory_storage=with_context(settings.memory_storage),
        positions=with_context(settings.positions),
        router=with_context(None if settings.router == "moc" else settings.router),
        guide=None if guide is None else guide.take,
        guide_strength=None if guide is None else guide.strength,
        control=None if control is None else control.take,
        control_scale=None if control is None else control.scale,
        references=references_of(board, model, index),
        context=tuple(dict.fromkeys(take for _, take in context)),
        pins=tuple(take for take in pins if take not in bans),
        bans=bans,
        boosts={name: steered.boosts[at] for at, name in boosts.items() if name not in bans},
    )
