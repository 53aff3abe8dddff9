"""A project: a storyboard, and the chosen takes of its shots in two lanes, drafts and finals.

Finals are rendered with the film's model, drafts with a fast one. Each lane has takes and context of its own;
the film shows finals where there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from studio.domain.errors import Refused
from studio.domain.messages import message
from studio.domain.settings import Settings
from studio.domain.storyboard import Shot, Storyboard

Lane = Literal["final", "draft"]
LANES: Final[tuple[Lane, ...]] = ("final", "draft")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A storyboard with its takes: `chosen` finals and `drafts` are take ids by shot id, `discarded` those in
    the bin. `lane` is the one that is worked in: planning and choosing are about it.
    """

    board: Storyboard
    chosen: Mapping[str, str] = field(default_factory=dict)
    discarded: frozenset[str] = frozenset()
    drafts: Mapping[str, str] = field(default_factory=dict)
    lane: Lane = "final"

    def __post_init__(self) -> None:
        if not self.has_lanes:
            object.__setattr__(self, "lane", "final")

    @property
    def has_lanes(self) -> bool:
        """Whether drafts are rendered with another model than finals."""
        return self.board.settings.model != self.board.settings.draft_model

    @property
    def current(self) -> Mapping[str, str]:
        """The chosen takes of the lane that is worked in."""
        return self.drafts if self.lane == "draft" else self.chosen

    @property
    def settings(self) -> Settings:
        """The settings of the lane. Drafts have their model's own, but for those of the story."""
        film = self.board.settings
        if self.lane == "final":
            return film
        return Settings(
            model=film.draft_model,
            draft_model=film.draft_model,
            looks=film.looks,
            context=film.context,
            rerender_threshold=film.rerender_threshold,
        )

    def in_lane(self, lane: Lane) -> Project:
        """The project with this lane worked in."""
        return replace(self, lane=lane)

    def switched_to(self, lane: Lane) -> Project:
        """As `in_lane`. Raises `Refused` for drafts where these have the model of finals."""
        if lane == "draft" and not self.has_lanes:
            raise Refused(message("lanes-same"))
        return self.in_lane(lane)

    def index_of(self, shot: str) -> int | None:
        """The index of the shot with this id; None if it is gone."""
        return next((index for index, other in enumerate(self.board.shots) if other.id == shot), None)

    def with_shots(self, shots: tuple[Shot, ...]) -> Project:
        """The project with these shots; the choices for shots that are gone are dropped."""
        left = {shot.id for shot in shots}
        return replace(
            self,
            board=replace(self.board, shots=shots),
            chosen={shot: take for shot, take in self.chosen.items() if shot in left},
            drafts={shot: take for shot, take in self.drafts.items() if shot in left},
        )

    def choosing(self, shot: str, take: str | None) -> Project:
        """The project with this take chosen for a shot in the lane that is worked in, or none if None."""
        others = {name: chosen for name, chosen in self.current.items() if name != shot}
        now = others if take is None else {**others, shot: take}
        return replace(self, drafts=now) if self.lane == "draft" else replace(self, chosen=now)


@dataclass(frozen=True, kw_only=True)
class ProjectSummary:
    """A project in the list of all. Times are seconds since 1970.

    `bytes` is the size of its takes' files; `own_bytes` of them belong to no other project.
    """

    id: str
    title: str
    shots: int
    changed: float
    opened: float
    trashed: float | None
    bytes: int
    own_bytes: int
