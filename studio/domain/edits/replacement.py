"""The edit that replaces a project's storyboard, as a storyboard file that was edited by hand does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from studio.domain.finished_take import Takes
from studio.domain.planner import chosen_take
from studio.domain.project import LANES, Lane, Project
from studio.domain.storyboard import Shot, Storyboard


@dataclass(frozen=True, kw_only=True)
class ReplaceStoryboard:
    """Another storyboard, whose shots keep the takes of the shots they match.

    A locked shot keeps a take only if that was rendered for the caption the shot has now.
    """

    board: Storyboard

    def apply(self, project: Project, takes: Takes) -> Project:
        matches = matching_shots(self.board, project, takes)
        chosen: dict[Lane, dict[str, str]] = {lane: {} for lane in LANES}
        for lane, shot in product(LANES, self.board.shots):
            old = project.in_lane(lane)
            take = chosen_take(old, takes, matches[shot.id]) if shot.id in matches else None
            if take is not None and old.lane == lane and not (shot.lock and take.caption != shot.caption):
                chosen[lane][shot.id] = take.id
        return replace(project, board=self.board, chosen=chosen["final"], drafts=chosen["draft"])

    def words(self, project: Project) -> str:
        return "replace the storyboard"


def matching_shots(board: Storyboard, project: Project, takes: Takes) -> dict[str, str]:
    """Which shot of a project each shot of another storyboard corresponds to: ids of new and old shots.

    Shots match by caption, in order; next by the caption that the old shot's take was rendered for. If both
    storyboards have the same number of shots, the remaining ones match by position.
    """
    old = dict(enumerate(project.board.shots))
    new = dict(enumerate(board.shots))
    found: dict[str, str] = {}

    def match(caption_of: Callable[[Shot], str | None]) -> None:
        for number, shot in list(new.items()):
            same = next((at for at, other in old.items() if caption_of(other) == shot.caption), None)
            if same is not None:
                found[shot.id] = old.pop(same).id
                del new[number]

    def caption_of_take(shot: Shot) -> str | None:
        take = chosen_take(project, takes, shot.id)
        return None if take is None else take.caption

    match(lambda shot: shot.caption)
    match(caption_of_take)
    if len(board.shots) == len(project.board.shots):
        found |= {shot.id: old[number].id for number, shot in new.items() if number in old}
    return found
