"""Edits of the cast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from studio.domain.finished_take import Takes
from studio.domain.project import Project
from studio.domain.storyboard import CastMember


@dataclass(frozen=True, kw_only=True)
class SetCast:
    """Replaces the cast, which is in order."""

    cast: tuple[CastMember, ...]
    op: Literal["cast"] = "cast"

    def apply(self, project: Project, takes: Takes) -> Project:
        return replace(project, board=replace(project.board, cast=self.cast))

    def words(self, project: Project) -> str:
        return "change the cast"
