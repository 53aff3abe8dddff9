"""Edits of a project as data. `apply` returns the edited project, `words` the name of the edit for undo.

Shots and takes are named by id. `apply` raises `BadStoryboard` for a value that breaks a rule, naming the
field, and `Refused` for an edit that is not possible now.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Literal

from studio.domain.errors import BadStoryboard, Refused, StoryField, errors_within
from studio.domain.finished_take import FinishedTake
from studio.domain.first_frame import PREVIOUS
from studio.domain.frame_rate import typed_rate
from studio.domain.messages import message
from studio.domain.planner import wanted_seed
from studio.domain.project import LANES, Lane, Project
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import SECONDS, CastMember, Shot, first_frame_source, target

Takes = Mapping[str, FinishedTake]


def new_id() -> str:
    """A new id for a shot."""
    return f"shot-{secrets.token_hex(6)}"


@dataclass(frozen=True, kw_only=True)
class SetFilm:
    """Changes the title, style, size, frame rate or seed; None leaves a value unchanged."""

    op: Literal["film"] = "film"
    title: str | None = None
    style: str | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | float | None = None
    seed: int | None = None

    def apply(self, project: Project, takes: Takes) -> Project:
        given = {name: getattr(self, name) for name in ("title", "style", "size", "fps", "seed")}
        chosen = {name: value for name, value in given.items() if value is not None}
        if self.fps is not None:
            with errors_within("fps"):
                chosen["fps"] = typed_rate(self.fps)
        return replace(project, board=replace(project.board, **chosen))

    def words(self, project: Project) -> str:
        given = {"title": "title", "style": "style", "size": "size", "fps": "frame rate", "seed": "seed"}
        changed = [word for name, word in given.items() if getattr(self, name) is not None]
        return f"change the {' and '.join(changed) or 'film'}"


@dataclass(frozen=True, kw_only=True)
class SetSettings:
    """Replaces the settings.

    Where the film's model becomes another one than that of drafts, its takes so far are the drafts; where
    instead another model is chosen for drafts, they stay the finals.
    """

    settings: Settings
    op: Literal["settings"] = "settings"

    def apply(self, project: Project, takes: Takes) -> Project:
        changed = replace(project, board=replace(project.board, settings=self.settings))
        gains_lanes = changed.has_lanes and not project.has_lanes
        if gains_lanes and self.settings.model != project.board.settings.model:
            return replace(changed, chosen={}, drafts={**project.drafts, **project.chosen})
        if project.has_lanes and not changed.has_lanes:
            return replace(changed, chosen={**project.drafts, **project.chosen}, drafts={})
        return changed

    def words(self, project: Project) -> str:
        return "change the settings"


@dataclass(frozen=True, kw_only=True)
class SetLane:
    """Works in the lane of drafts or in that of finals."""

    lane: Lane
    op: Literal["lane"] = "lane"

    def apply(self, project: Project, takes: Takes) -> Project:
        return project.switched_to(self.lane)

    def words(self, project: Project) -> str:
        return f"work on {self.lane}s"


@dataclass(frozen=True, kw_only=True)
class SetGuideStrength:
    """Sets how much the final of a shot changes the draft that guides it; None for the film's strength."""

    shot: str
    guide_strength: float | None
    op: Literal["guide_strength"] = "guide_strength"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _changed(project, self.shot, guide_strength=self.guide_strength)

    def words(self, project: Project) -> str:
        return f"change the guide of {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetCast:
    """Replaces the cast, which is in order."""

    cast: tuple[CastMember, ...]
    op: Literal["cast"] = "cast"

    def apply(self, project: Project, takes: Takes) -> Project:
        return replace(project, board=replace(project.board, cast=self.cast))

    def words(self, project: Project) -> str:
        return "change the cast"


@dataclass(frozen=True, kw_only=True)
class AddShot:
    """Adds a shot before index `at`, or at the end if None."""

    caption: str = ""
    seconds: float = 3.0
    at: int | None = None
    id: str = field(default_factory=new_id)
    op: Literal["add"] = "add"

    def apply(self, project: Project, takes: Takes) -> Project:
        shots = project.board.shots
        at = len(shots) if self.at is None else max(0, min(self.at, len(shots)))
        new = _shot(at, lambda: Shot(id=self.id, caption=_line(self.caption), seconds=self.seconds))
        return project.with_shots((*shots[:at], new, *shots[at:]))

    def words(self, project: Project) -> str:
        return "add a shot"


@dataclass(frozen=True, kw_only=True)
class SetCaption:
    """Changes a shot's caption."""

    shot: str
    caption: str
    op: Literal["caption"] = "caption"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _changed(project, self.shot, caption=_line(self.caption))

    def words(self, project: Project) -> str:
        return f"change the caption of {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetSeed:
    """Sets a shot's seed; None derives it from the film's seed."""

    shot: str
    seed: int | None
    op: Literal["seed"] = "seed"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _changed(project, self.shot, seed=self.seed)

    def words(self, project: Project) -> str:
        return f"change the seed of {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetNegativePrompt:
    """Sets a shot's negative prompt; None for the film's."""

    shot: str
    negative_prompt: str | None
    op: Literal["negative_prompt"] = "negative_prompt"

    def apply(self, project: Project, takes: Takes) -> Project:
        words = None if self.negative_prompt is None else _line(self.negative_prompt)
        return _changed(project, self.shot, negative_prompt=words)

    def words(self, project: Project) -> str:
        return f"change the negative prompt of {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetLoras:
    """Replaces the LoRAs that a shot adds to the film's."""

    shot: str
    loras: tuple[Lora, ...]
    op: Literal["loras"] = "loras"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _changed(project, self.shot, loras=self.loras)

    def words(self, project: Project) -> str:
        return f"change the LoRAs of {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetFirstFrame:
    """Sets what a shot starts with (`first_frame.py`); None for nothing."""

    shot: str
    first_frame: str | None
    op: Literal["first_frame"] = "first_frame"

    def apply(self, project: Project, takes: Takes) -> Project:
        if self.first_frame == f"shot:{self.shot}":
            raise Refused(message("first-frame-of-itself"))
        return _changed(project, self.shot, first_frame=self.first_frame)

    def words(self, project: Project) -> str:
        return f"change the first frame of {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Trim:
    """Changes where in its take a shot begins, and how many seconds of it it shows."""

    shot: str
    trim: float
    seconds: float
    op: Literal["trim"] = "trim"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _changed(project, self.shot, trim=round(self.trim, 6), seconds=round(self.seconds, 6))

    def words(self, project: Project) -> str:
        return f"trim {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Splits a shot in two, `at` seconds after its start. Both show its take until one is edited."""

    shot: str
    at: float
    id: str = field(default_factory=new_id)
    op: Literal["split"] = "split"

    def apply(self, project: Project, takes: Takes) -> Project:
        index = _index_of(project, self.shot)
        whole = project.board.shots[index]
        least = SECONDS[0]
        if not least <= self.at <= whole.seconds - least:
            raise Refused(message("split-too-short", shot=index + 1, least=least))
        take = takes.get(project.current.get(self.shot, ""))
        first = replace(whole, seconds=round(self.at, 6))
        source = first_frame_source(project.board, index)
        frame = None if whole.first_frame == PREVIOUS else whole.first_frame
        if source is not None and source.index is not None:
            frame = f"shot:{project.board.shots[source.index].id}"
        second = _shot(
            index + 1,
            lambda: replace(
                whole,
                id=self.id,
                trim=round(whole.trim + self.at, 6),
                seconds=round(whole.seconds - self.at, 6),
                seed=wanted_seed(project.board, index, take),
                first_frame=frame,
            ),
        )
        shots = project.board.shots
        later = (  # what began where the whole ended begins where its second half ends
            replace(shot, first_frame=f"shot:{self.id}") if shot.first_frame == f"shot:{whole.id}" else shot
            for shot in shots[index + 1 :]
        )
        made = project.with_shots((*shots[:index], first, second, *later))
        for lane in LANES:
            made = made.in_lane(lane).choosing(self.id, project.in_lane(lane).current.get(self.shot))
        return made.in_lane(project.lane)

    def words(self, project: Project) -> str:
        return f"split {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Adds a copy behind each of these shots, without takes.

    `ids` are those of the copies; missing ones are generated.
    """

    shots: tuple[str, ...]
    ids: tuple[str, ...] = field(default_factory=lambda: tuple(new_id() for _ in range(8)))
    op: Literal["duplicate"] = "duplicate"

    def apply(self, project: Project, takes: Takes) -> Project:
        wanted = _all_there(project, self.shots)
        ids = iter(self.ids)
        shots: list[Shot] = []
        for shot in project.board.shots:
            shots.append(shot)
            if shot.id in wanted:
                copy = partial(replace, shot, id=next(ids, None) or new_id(), lock=False)
                shots.append(_shot(len(shots), copy))
        return project.with_shots(tuple(shots))

    def words(self, project: Project) -> str:
        return f"duplicate {_numbers(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Removes shots. Their takes are kept, so that undo brings them back."""

    shots: tuple[str, ...]
    op: Literal["delete"] = "delete"

    def apply(self, project: Project, takes: Takes) -> Project:
        gone = _all_there(project, self.shots)
        return project.with_shots(tuple(shot for shot in project.board.shots if shot.id not in gone))

    def words(self, project: Project) -> str:
        return f"delete {_numbers(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Move:
    """Moves shots before index `to` (as counted before the move); their order stays."""

    shots: tuple[str, ...]
    to: int
    op: Literal["move"] = "move"

    def apply(self, project: Project, takes: Takes) -> Project:
        moved = _all_there(project, self.shots)
        shots = project.board.shots
        to = max(0, min(self.to, len(shots)))
        return project.with_shots(
            (
                *(shot for shot in shots[:to] if shot.id not in moved),
                *(shot for shot in shots if shot.id in moved),
                *(shot for shot in shots[to:] if shot.id not in moved),
            )
        )

    def words(self, project: Project) -> str:
        return f"move {_numbers(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Locks or unlocks shots: a locked shot keeps its take."""

    shots: tuple[str, ...]
    on: bool
    op: Literal["lock"] = "lock"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _flagged(project, self.shots, lock=self.on)

    def words(self, project: Project) -> str:
        return f"{'lock' if self.on else 'unlock'} {_numbers(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Skips shots, or brings them back: skipped ones are neither in the cut nor in any context."""

    shots: tuple[str, ...]
    on: bool
    op: Literal["skip"] = "skip"

    def apply(self, project: Project, takes: Takes) -> Project:
        return _flagged(project, self.shots, skip=self.on)

    def words(self, project: Project) -> str:
        return f"{'skip' if self.on else 'bring back'} {_numbers(project, self.shots)}"


@dataclass(frozen=True, kw_only=True)
class Steer:
    """Replaces a shot's pins, bans and boosts of other shots."""

    shot: str
    pins: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    boosts: Mapping[str, float] = field(default_factory=dict)
    op: Literal["steer"] = "steer"

    def apply(self, project: Project, takes: Takes) -> Project:
        for other in (*self.pins, *self.bans, *self.boosts):
            if target(other)[0] == self.shot:
                raise Refused(message("steering-itself"))
        return _changed(project, self.shot, pins=self.pins, bans=self.bans, boosts=dict(self.boosts))

    def words(self, project: Project) -> str:
        return f"steer {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Chooses a take for a shot."""

    shot: str
    take: str
    op: Literal["choose"] = "choose"

    def apply(self, project: Project, takes: Takes) -> Project:
        _index_of(project, self.shot)
        if self.take not in takes or self.take in project.discarded:
            raise Refused(message("take-not-found"))
        return project.choosing(self.shot, self.take)

    def words(self, project: Project) -> str:
        return f"choose another take for {_numbers(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class Discard:
    """Puts a take into the bin, and out of all shots that show it."""

    take: str
    op: Literal["discard"] = "discard"

    def apply(self, project: Project, takes: Takes) -> Project:
        if self.take not in takes:
            raise Refused(message("take-not-found"))
        chosen, drafts = (
            {shot: take for shot, take in lane.items() if take != self.take}
            for lane in (project.chosen, project.drafts)
        )
        return replace(project, chosen=chosen, drafts=drafts, discarded=project.discarded | {self.take})

    def words(self, project: Project) -> str:
        return "delete a take"


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Chooses a take for a shot and restores the caption, length and seed it was rendered with."""

    shot: str
    take: str
    op: Literal["restore"] = "restore"

    def apply(self, project: Project, takes: Takes) -> Project:
        chosen = Choose(shot=self.shot, take=self.take).apply(project, takes)
        take = takes[self.take]
        return _changed(
            chosen,
            self.shot,
            caption=take.caption,
            trim=0.0,
            seconds=take.inputs.seconds,
            seed=take.inputs.seed,
        )

    def words(self, project: Project) -> str:
        return f"restore the settings of a take of {_numbers(project, (self.shot,))}"


Edit = (
    SetFilm
    | SetSettings
    | SetLane
    | SetGuideStrength
    | SetCast
    | AddShot
    | SetCaption
    | SetSeed
    | SetNegativePrompt
    | SetLoras
    | SetFirstFrame
    | Trim
    | Split
    | Duplicate
    | Delete
    | Move
    | Lock
    | Skip
    | Steer
    | Choose
    | Discard
    | Restore
)


def _index_of(project: Project, shot: str) -> int:
    index = project.index_of(shot)
    if index is None:
        raise Refused(message("shot-not-found"))
    return index


def _all_there(project: Project, shots: Sequence[str]) -> frozenset[str]:
    for shot in shots:
        _index_of(project, shot)
    if not shots:
        raise Refused(message("no-shot-selected"))
    return frozenset(shots)


def _changed(project: Project, shot: str, **fields: object) -> Project:
    index = _index_of(project, shot)
    shots = project.board.shots
    new = _shot(index, lambda: replace(shots[index], **fields))  # type: ignore[arg-type]
    return project.with_shots((*shots[:index], new, *shots[index + 1 :]))


def _line(text: str) -> str:
    """The text on one line, with single spaces between words."""
    return " ".join(text.split())


def _flagged(project: Project, wanted: Collection[str], **flag: bool) -> Project:
    chosen = _all_there(project, tuple(wanted))
    return project.with_shots(
        tuple(
            replace(shot, **flag) if shot.id in chosen else shot  # type: ignore[arg-type]
            for shot in project.board.shots
        )
    )


def _shot(index: int, make: Callable[[], Shot]) -> Shot:
    """Calls `make`; errors are about the shot at `index`."""
    try:
        return make()
    except BadStoryboard as error:
        outer: StoryField = ("shots", index)
        raise error.within(*outer) from error


def _numbers(project: Project, shots: Sequence[str]) -> str:
    """ "shot 3", "shots 3 and 4", "12 shots"."""
    indices = sorted(index + 1 for shot in shots if (index := project.index_of(shot)) is not None)
    match indices:
        case [one]:
            return f"shot {one}"
        case [*some, last] if 0 < len(some) < 4:
            return f"shots {', '.join(map(str, some))} and {last}"
        case _:
            return f"{len(indices)} shots"
