"""The story map: the share of attention that each shot gave to each earlier one, as takes record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studio.domain.planner import chosen_take, first_indices
from studio.domain.project import Project
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class StoryRow:
    """What one shot's take drew from, as shares of all its attention.

    `shares` has an entry per shot of the film: None for what its take could not see. `own` stayed in the
    shot, None where that is not known; `captions` went to captions, None where they are not among what is
    attended to; `elsewhere` went to takes the film no longer shows.
    """

    shot: str
    index: int
    caption: str
    take: str | None
    own: float | None
    captions: float | None
    elsewhere: float
    shares: tuple[float | None, ...]


def story_of(project: Project, takes: Mapping[str, StoredTake]) -> tuple[StoryRow, ...]:
    """A row per shot, in order. A take that several shots share counts for the first that shows it."""
    shown = first_indices(project, takes)
    return tuple(_row(project, takes, shown, index) for index in range(len(project.board.shots)))


def _row(project: Project, takes: Mapping[str, StoredTake], shown: Mapping[str, int], index: int) -> StoryRow:
    shot = project.board.shots[index]
    chosen = chosen_take(project, takes, shot.id)
    take = None if chosen is None else takes[chosen.id]
    shares: list[float | None] = [None] * len(project.board.shots)
    elsewhere = 0.0
    if take is not None:
        for _, seen in take.context:
            if seen in shown:
                shares[shown[seen]] = take.links.get(seen, 0.0)
            else:
                elsewhere += take.links.get(seen, 0.0)
    return StoryRow(
        shot=shot.id,
        index=index,
        caption=shot.caption,
        take=None if take is None else take.id,
        own=None if take is None else take.own_share,
        captions=None if take is None else take.caption_share,
        elsewhere=elsewhere,
        shares=tuple(shares),
    )
