"""The edit that gives a shot back what one of its takes was rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from studio.domain.edits.shots_by_id import index_of, shots_in_words, with_shot_changed
from studio.domain.edits.take_choice import Choose
from studio.domain.finished_take import FinishedTake, Takes
from studio.domain.inputs import take_frame
from studio.domain.project import Project
from studio.domain.settings import Lora
from studio.domain.storyboard import Shot, first_frame_source, target


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Chooses a take for a shot and restores the shot's own settings that it was rendered with.

    `lacks` names abilities that the take's model does not have: that its inputs say nothing about them tells
    nothing of the shot, whose settings stay.
    """

    shot: str
    take: str
    lacks: tuple[str, ...] = ()
    op: Literal["restore"] = "restore"

    def apply(self, project: Project, takes: Takes) -> Project:
        chosen = Choose(shot=self.shot, take=self.take).apply(project, takes)
        take, index = takes[self.take], index_of(project, self.shot)
        lacks = frozenset(self.lacks)
        fields = {
            **_negative_prompt(project, index, take, lacks),
            **_loras(project, take, lacks),
            **_first_frame(project, index, take, lacks),
            **_draft_use(project, take, lacks),
            **_steering(project.board.shots[index], take),
        }
        return with_shot_changed(
            chosen,
            self.shot,
            caption=take.caption,
            trim=0.0,
            seconds=take.inputs.seconds,
            seed=take.inputs.seed,
            **fields,
        )

    def words(self, project: Project) -> str:
        return f"restore the settings of a take of {shots_in_words(project, (self.shot,))}"


Fields = Mapping[str, Any]
"""Fields of a shot that change."""


def _negative_prompt(project: Project, index: int, take: FinishedTake, lacks: frozenset[str]) -> Fields:
    then, film = take.inputs.negative_prompt, project.settings.negative_prompt
    if then is None and "negative_prompt" in lacks:
        return {}
    own = project.board.shots[index].negative_prompt
    if then == (film if own is None else own):
        return {}
    return {"negative_prompt": None if then == film else then}


def _loras(project: Project, take: FinishedTake, lacks: frozenset[str]) -> Fields:
    """Those of the take that are not the film's, and the film's that it did not have at weight 0.

    Nothing where the take does not say in which files they were, and of drafts of another model, for which
    the LoRAs of shots are not made.
    """
    then = take.inputs.loras
    if project.settings.model != project.board.settings.model or len(take.lora_files) != len(then):
        return {}
    if not then and "loras" in lacks:
        return {}
    film = {(lora.file, lora.expert): lora for lora in project.settings.loras}
    used = [
        Lora(file=file, weight=weight, expert=expert)
        for file, (_, weight, expert) in zip(take.lora_files, then, strict=True)
    ]
    names = {(lora.file, lora.expert) for lora in used}
    own = [lora for lora in used if film.get((lora.file, lora.expert)) != lora]
    missing = (lora for name, lora in film.items() if lora.weight and name not in names)
    left_out = [Lora(file=lora.file, weight=0.0, expert=lora.expert) for lora in missing]
    return {"loras": (*own, *left_out)}


def _first_frame(project: Project, index: int, take: FinishedTake, lacks: frozenset[str]) -> Fields:
    then = take.inputs.first_frame
    if then is None:
        return {} if "first_frame" in lacks else {"first_frame": None}
    frame = take_frame(then)
    if frame is None:
        return {"first_frame": then}
    seen = {name: shot for shot, name in (*project.current.items(), *take.context)}
    shot = seen.get(frame.take)
    at = None if shot is None else project.index_of(shot)
    source = first_frame_source(project.board, index)
    if at is None or at == index or (source is not None and source.index == at):
        return {}
    return {"first_frame": f"shot:{shot}"}


def _draft_use(project: Project, take: FinishedTake, lacks: frozenset[str]) -> Fields:
    if project.lane == "draft" or not project.has_lanes:
        return {}
    then, film = take.inputs, project.board.settings
    if then.guide is None and then.control is None and lacks >= {"guide", "control"}:
        return {}
    strength, scale = then.guide_strength, then.control_scale
    if (strength, scale) == (None, None):
        strength = 1.0
    of_film = film.guide_strength, film.control_scale
    is_films = (strength, scale) == (1.0 if of_film == (None, None) else of_film[0], of_film[1])
    return {
        "guide_strength": None if is_films else strength,
        "control_scale": None if is_films else scale,
    }


def _steering(shot: Shot, take: FinishedTake) -> Fields:
    """Pins, bans and boosts of the shots in the take's context; those of other shots stay."""
    shots = {seen: other for other, seen in take.context if other != shot.id}
    theirs = frozenset(shots.values())

    def named(name: str) -> str | None:
        seen, part = target(name)
        return None if seen not in shots else shots[seen] if part is None else f"{shots[seen]}/{part}"

    def restored(names: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
        stay = (name for name in now if target(name)[0] not in theirs)
        return (*dict.fromkeys(other for name in names if (other := named(name))), *stay)

    boosts = {other: boost for name, boost in take.inputs.boosts.items() if (other := named(name))}
    stay = {name: boost for name, boost in shot.boosts.items() if target(name)[0] not in theirs}
    return {
        "pins": restored(take.inputs.pins, shot.pins),
        "bans": restored(take.inputs.bans, shot.bans),
        "boosts": {**boosts, **stay},
    }
