"""A project: a storyboard, and the chosen take of each of its shots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from studio.domain.storyboard import Shot, Storyboard


@dataclass(frozen=True, kw_only=True)
class Project:
    """A storyboard with its takes: `chosen` are take ids by shot id, `discarded` those in the bin."""

    board: Storyboard
    chosen: Mapping[str, str] = field(default_factory=dict)
    discarded: frozenset[str] = frozenset()

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
        )

    def choosing(self, shot: str, take: str | None) -> Project:
        """The project with this take chosen for a shot, or none if None."""
        others = {name: chosen for name, chosen in self.chosen.items() if name != shot}
        return replace(self, chosen=others if take is None else {**others, shot: take})


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
