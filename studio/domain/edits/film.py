"""Edits of the film as a whole: what every shot shares, and the lane that is worked in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from studio.domain.errors import errors_within
from studio.domain.finished_take import Takes
from studio.domain.frame_rate import typed_rate
from studio.domain.project import Lane, Project
from studio.domain.settings import Settings


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
