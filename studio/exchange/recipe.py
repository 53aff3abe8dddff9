"""The recipe of a film: the storyboard, and what each take in it was rendered from, as JSON.

    {"recipe": 2, "program": …, "storyboard": {…}, "common": {…}, "takes": [{…}, …]}

`common` holds what most takes share; a take holds the rest. A take's context is written by the indices
of the takes in the list, as ranges, so that a recipe grows with the number of shots and not with its square.
Version 1 had no version number and wrote everything out for each take; in a studio, without a storyboard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from fractions import Fraction
from itertools import chain, islice
from typing import Any, Final

from pydantic import ValidationError

from studio import __version__
from studio.domain.checks import MAX_SEED
from studio.domain.cut import Clip
from studio.domain.errors import BadRecipe, BadStoryboard
from studio.domain.frame_rate import rate_to_json
from studio.domain.inputs import TakeInputs
from studio.domain.messages import message
from studio.domain.project import LANES, Lane, Project
from studio.domain.settings import Settings
from studio.domain.storyboard import (
    MAX_SHOTS,
    SECONDS,
    CastMember,
    Shot,
    Storyboard,
    compose_captions,
    shot_seed,
    target,
)
from studio.store.documents import from_document, inputs_from_json, inputs_to_json
from studio.store.takes import StoredTake

VERSION: Final = 2

_CAPTION: Final = "caption"
_SPECIAL: Final = (_CAPTION, "context", "cast")
"""Fields of inputs that are written in a way of their own."""


@dataclass(frozen=True, kw_only=True)
class UsedTake:
    """A take of a film: the shot it stands for, what it was rendered from, and which frames of it show.

    `lane` says whether it is a draft: of a shot that had no final.
    """

    shot: str
    take: str
    inputs: TakeInputs
    first: int
    frames: int
    backend: str
    lane: Lane = "final"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is read from a film: the storyboard and its takes."""

    board: Storyboard
    takes: tuple[UsedTake, ...]

    def __post_init__(self) -> None:
        if not all(0 <= take.inputs.seed <= MAX_SEED for take in self.takes):
            raise ValueError(f"a seed that is not from 0 to {MAX_SEED}")

    @property
    def project(self) -> Project:
        """The project that was exported; shots whose take had another seed ask for that seed."""
        used = {take.shot: take for take in self.takes}
        shots = list(self.board.shots)
        for index, shot in enumerate(shots):
            take = used.get(shot.id)
            if take is not None and take.inputs.seed != shot_seed(self.board, index):
                shots[index] = replace(shot, seed=take.inputs.seed)
        board = replace(self.board, shots=tuple(shots))
        lanes = {
            lane: {shot: take.take for shot, take in used.items() if take.lane == lane} for lane in LANES
        }
        return Project(board=board, chosen=lanes["final"], drafts=lanes["draft"])


def recipe_of(project: Project, clips: Sequence[Clip[StoredTake]]) -> dict[str, Any]:
    """The recipe of a cut of a project, as JSON."""
    board = project.board
    composed = dict(zip((shot.id for shot in board.shots), compose_captions(board), strict=True))
    indices = {clip.take.id: index for index, clip in reversed(list(enumerate(clips)))}
    records = [
        _record(
            clip,
            composed[clip.shot.id],
            indices,
            is_draft=project.drafts.get(clip.shot.id) == clip.take.id != project.chosen.get(clip.shot.id),
        )
        for clip in clips
    ]
    common = _common(records)
    return {
        "recipe": VERSION,
        "program": f"moc-studio {__version__}",
        "storyboard": _storyboard_to_json(board),
        "common": common,
        "takes": [
            {name: value for name, value in record.items() if name not in common or common[name] != value}
            for record in records
        ],
    }


def read_recipe(data: Mapping[str, Any]) -> Recipe:
    """A recipe from its JSON, of this version or of an earlier one. Raises `BadRecipe`."""
    try:
        if "recipe" not in data:
            return _read_version_1(data)
        if data["recipe"] != VERSION:
            raise BadRecipe(message("recipe-newer"))
        board = _storyboard_from_json(data["storyboard"])
        return Recipe(board=board, takes=tuple(_used_takes(data, board)))
    except (
        ValidationError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        ArithmeticError,
    ) as error:
        raise BadRecipe(message("recipe-damaged")) from error
    except BadStoryboard as error:
        raise BadRecipe(message("recipe-invalid", problem=error.message)) from error


def without_shots(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's settings alone, for a tag that is too small for the whole."""
    board = {name: value for name, value in recipe["storyboard"].items() if name not in ("shots", "cast")}
    common = {name: value for name, value in recipe.get("common", {}).items() if name != "cast"}
    return {**recipe, "storyboard": board, "common": common, "takes": [], "shots": []}


def _record(
    clip: Clip[StoredTake], composed: str, indices: Mapping[str, int], *, is_draft: bool
) -> dict[str, Any]:
    """A take as it is written, in full but for what the storyboard tells."""
    inputs = clip.take.inputs
    record = {name: value for name, value in inputs_to_json(inputs).items() if name not in _SPECIAL}
    record = {name: value for name, value in record.items() if value not in ([], {})}
    return {
        "shot": clip.shot.id,
        "take": clip.take.id,
        "show": [clip.first, clip.frames],
        "backend": clip.take.backend,
        **({"lane": "draft"} if is_draft else {}),
        **record,
        "cast": list(inputs.cast),
        **({} if inputs.caption == composed else {_CAPTION: inputs.caption}),
        **({"context": list(_ranges(inputs.context, indices))} if inputs.context else {}),
    }


def _common(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the fields that every take has, the value that most have."""
    names = set.intersection(*(set(record) for record in records)) - {"shot", "take", "show", "seed"}
    common: dict[str, Any] = {}
    for name in sorted(names):
        counted = Counter(repr(record[name]) for record in records)
        usual, count = counted.most_common(1)[0]
        if count > 1 or len(records) == 1:
            common[name] = next(record[name] for record in records if repr(record[name]) == usual)
    return common


def _ranges(context: Sequence[str], indices: Mapping[str, int]) -> Iterator[list[int] | str]:
    """Takes of the film as [first, stop] of their indices, others by id: [0, 3], "9f2c…", [3, 4]."""
    run: list[int] = []
    for take in context:
        index = indices.get(take)
        if run and index == run[1]:
            run[1] += 1
            continue
        if run:
            yield run
        run = []
        if index is None:
            yield take
        else:
            run = [index, index + 1]
    if run:
        yield run


def _used_takes(data: Mapping[str, Any], board: Storyboard) -> Iterator[UsedTake]:
    composed = dict(zip((shot.id for shot in board.shots), compose_captions(board), strict=True))
    names = [str(record["take"]) for record in data["takes"]]
    for record in data["takes"]:
        full = {**data["common"], **record}
        shot, (first, frames) = str(full.pop("shot")), full.pop("show")
        take, backend = str(full.pop("take")), str(full.pop("backend"))
        lane: Lane = "draft" if full.pop("lane", "final") == "draft" else "final"
        context = chain.from_iterable(
            [part] if isinstance(part, str) else names[part[0] : part[1]] for part in full.pop("context", ())
        )
        seen = list(islice(context, MAX_SHOTS + 1))
        if len(seen) > MAX_SHOTS:
            raise ValueError(f"a context of more than {MAX_SHOTS} takes")
        inputs = inputs_from_json({_CAPTION: composed[shot], **full, "context": seen})
        yield UsedTake(
            shot=shot,
            take=take,
            inputs=inputs,
            first=int(first),
            frames=int(frames),
            backend=backend,
            lane=lane,
        )


def _storyboard_to_json(board: Storyboard) -> dict[str, Any]:
    return {
        **_changed(board, "shots", "cast", "settings", "fps"),
        "size": list(board.size),
        "fps": rate_to_json(board.fps),
        "settings": _changed(board.settings),
        "cast": [_changed(member) for member in board.cast],
        "shots": [_changed(shot) for shot in board.shots],
    }


def _storyboard_from_json(data: Mapping[str, Any]) -> Storyboard:
    shots = {str(shot["id"]): shot for shot in data["shots"]}
    document = {**data, "shots": shots, "order": list(shots), "chosen": {}, "discarded": {}}
    return from_document(document).board


def _changed(thing: Storyboard | Settings | CastMember | Shot, *without: str) -> dict[str, Any]:
    """The fields that have not their defaults, as JSON."""
    whole = asdict(thing)
    changed: dict[str, Any] = {}
    for field in fields(thing):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.name not in without and getattr(thing, field.name) != default:
            value = whole[field.name]
            changed[field.name] = list(value) if isinstance(value, tuple) else value
    return changed


def _read_version_1(data: Mapping[str, Any]) -> Recipe:
    """Of a film, or of a single take's clip, by a version before 2."""
    records = data.get("shots", [data])
    takes = tuple(_version_1_take(index, record) for index, record in enumerate(records))
    if "storyboard" in data:
        board = _storyboard_from_json(data["storyboard"])
        shots = board.shots
        return Recipe(
            board=board,
            takes=tuple(
                replace(take, shot=shots[int(record["number"]) - 1].id)
                for take, record in zip(takes, records, strict=True)
            ),
        )
    shot_of = {take.take: take.shot for take in reversed(takes)}
    first = takes[0].inputs
    board = Storyboard(
        title=str(data.get("title", "film")),
        style=first.global_caption,
        size=first.size,
        fps=first.fps,
        cast=tuple(CastMember(name=name) for name in first.cast),
        settings=Settings(steps=first.steps, guidance=first.guidance, top_k=first.top_k),
        shots=tuple(_shot_of(take, shot_of) for take in takes),
    )
    return Recipe(board=board, takes=takes)


def _version_1_take(index: int, record: Mapping[str, Any]) -> UsedTake:
    known = {field.name for field in fields(TakeInputs)} - {"first_frame"}  # there: a number of the cut
    inputs = inputs_from_json({name: value for name, value in record.items() if name in known})
    whole = round(inputs.seconds * inputs.fps)
    return UsedTake(
        shot=f"shot-{index + 1}",
        take=str(record["take"]),
        inputs=inputs,
        first=int(record.get("first_frame", 0)),
        frames=int(record.get("frames", whole)),
        backend=str(record.get("backend", "")),
    )


def _shot_of(take: UsedTake, shot_of: Mapping[str, str]) -> Shot:
    """The shot that a take of version 1 was rendered for; its caption holds the looks of the cast."""
    inputs = take.inputs

    def shots(names: Sequence[str]) -> dict[str, str]:
        found = {name: target(name) for name in names}
        return {
            name: shot_of[other] + (f"/{part}" if part else "")
            for name, (other, part) in found.items()
            if other in shot_of and shot_of[other] != take.shot
        }

    boosts = shots(tuple(inputs.boosts))
    seconds = min(max(float(Fraction(take.frames) / inputs.fps), SECONDS[0]), SECONDS[1])
    trim = min(float(Fraction(take.first) / inputs.fps), SECONDS[1] - seconds)
    return Shot(
        id=take.shot,
        caption=inputs.caption,
        seconds=round(seconds, 6),
        trim=round(trim, 6),
        seed=inputs.seed,
        pins=tuple(dict.fromkeys(shots(inputs.pins).values())),
        bans=tuple(dict.fromkeys(shots(inputs.bans).values())),
        boosts={boosts[name]: value for name, value in inputs.boosts.items() if name in boosts},
    )
