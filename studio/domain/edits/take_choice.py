"""Edits of which takes shots show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from studio.domain.edits.shots_by_id import index_of, shots_in_words
from studio.domain.errors import Refused
from studio.domain.finished_take import Takes
from studio.domain.messages import message
from studio.domain.project import Project


@dataclass(frozen=True, kw_only=True)
class Choose:
    """Chooses a take for a shot."""

    shot: str
    take: str
    op: Literal["choose"] = "choose"

    def apply(self, project: Project, takes: Takes) -> Project:
        index_of(project, self.shot)
        if self.take not in takes or self.take in project.discarded:
            raise Refused(message("take-not-found"))
        return project.choosing(self.shot, self.take)

    def words(self, project: Project) -> str:
        return f"choose another take for {shots_in_words(project, (self.shot,))}"


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
