"""Edits of what one shot is rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from studio.domain.edits.shots_by_id import one_line, shots_in_words, with_shot_changed
from studio.domain.errors import Refused
from studio.domain.finished_take import Takes
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.settings import Lora
from studio.domain.storyboard import target


@dataclass(frozen=True, kw_only=True)
class SetCaption:
    """Changes a shot's caption."""

    shot: str
    caption: str
    op: Literal["caption"] = "caption"

    def apply(self, project: Project, takes: Takes) -> Project:
        return with_shot_changed(project, self.shot, caption=one_line(self.caption))

    def words(self, project: Project) -> str:
        return f"change the caption of {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetSeed:
    """Sets a shot's seed; None derives it from the film's seed."""

    shot: str
    seed: int | None
    op: Literal["seed"] = "seed"

    def apply(self, project: Project, takes: Takes) -> Project:
        return with_shot_changed(project, self.shot, seed=self.seed)

    def words(self, project: Project) -> str:
        return f"change the seed of {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetNegativePrompt:
    """Sets a shot's negative prompt; None for the film's."""

    shot: str
    negative_prompt: str | None
    op: Literal["negative_prompt"] = "negative_prompt"

    def apply(self, project: Project, takes: Takes) -> Project:
        words = None if self.negative_prompt is None else one_line(self.negative_prompt)
        return with_shot_changed(project, self.shot, negative_prompt=words)

    def words(self, project: Project) -> str:
        return f"change the negative prompt of {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetLoras:
    """Replaces the LoRAs that a shot adds to the film's."""

    shot: str
    loras: tuple[Lora, ...]
    op: Literal["loras"] = "loras"

    def apply(self, project: Project, takes: Takes) -> Project:
        return with_shot_changed(project, self.shot, loras=self.loras)

    def words(self, project: Project) -> str:
        return f"change the LoRAs of {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetFirstFrame:
    """Sets what a shot starts with (`first_frame.py`); None for nothing."""

    shot: str
    first_frame: str | None
    op: Literal["first_frame"] = "first_frame"

    def apply(self, project: Project, takes: Takes) -> Project:
        if self.first_frame == f"shot:{self.shot}":
            raise Refused(message("first-frame-of-itself"))
        return with_shot_changed(project, self.shot, first_frame=self.first_frame)

    def words(self, project: Project) -> str:
        return f"change the first frame of {shots_in_words(project, (self.shot,))}"


@dataclass(frozen=True, kw_only=True)
class SetGuide:
    """Sets how the final of a shot is made from its draft: it starts from it with `guide_strength`, 1 for not
    at all, or follows it with `control_scale`; as the film says where both are None.
    """

    shot: str
    guide_strength: float | None = None
    control_scale: float | None = None
    op: Literal["guide"] = "guide"

    def apply(self, project: Project, takes: Takes) -> Project:
        return with_shot_changed(
            project, self.shot, guide_strength=self.guide_strength, control_scale=self.control_scale
        )

    def words(self, project: Project) -> str:
        return f"change the guide of {shots_in_words(project, (self.shot,))}"


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
        return with_shot_changed(project, self.shot, pins=self.pins, bans=self.bans, boosts=dict(self.boosts))

    def words(self, project: Project) -> str:
        return f"steer {shots_in_words(project, (self.shot,))}"
