"""The cut: which frames of which takes a film shows, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Generic, TypeVar

from studio.domain.errors import Refused
from studio.domain.finished_take import FinishedTake
from studio.domain.frame_rate import exact_rate_in_words
from studio.domain.messages import message
from studio.domain.planner import take_in_film
from studio.domain.project import Project
from studio.domain.shown_frames import shown_frames
from studio.domain.storyboard import Shot

TakeT = TypeVar("TakeT", bound=FinishedTake)


@dataclass(frozen=True, kw_only=True)
class Clip(Generic[TakeT]):
    """A shot in the cut: its number from 1, its take, and the frames `first` to `first + frames` of that."""

    number: int
    shot: Shot
    take: TakeT
    first: int
    frames: int

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.take.inputs.fps

    @property
    def middle(self) -> int:
        """The frame of the take that stands for the clip in a still."""
        return self.first + self.frames // 2


def cut_of(project: Project, takes: Mapping[str, TakeT]) -> tuple[Clip[TakeT], ...]:
    """The clips of all unskipped shots. Raises `Refused` where a shot has no take, or takes differ in size
    or frame rate.
    """
    clips: list[Clip[TakeT]] = []
    without: list[str] = []
    for number, shot in enumerate(project.board.shots, start=1):
        if shot.skip:
            continue
        chosen = take_in_film(project, takes, shot.id)
        if chosen is None:
            without.append(str(number))
            continue
        take = takes[chosen.id]
        first, frames = shown_frames(shot, take.frames, take.inputs.fps)
        clips.append(Clip(number=number, shot=shot, take=take, first=first, frames=frames))
    if without:
        code = "shot-without-take" if len(without) == 1 else "shots-without-take"
        raise Refused(message(code, shots=", ".join(without)))
    if not clips:
        raise Refused(message("nothing-to-export"))
    _check_formats(clips)
    return tuple(clips)


def without_missing(project: Project, takes: Mapping[str, FinishedTake]) -> Project:
    """The project with its shots that have no take marked as skipped, so that the others can be cut."""
    shots = tuple(
        replace(shot, skip=True) if take_in_film(project, takes, shot.id) is None else shot
        for shot in project.board.shots
    )
    return replace(project, board=replace(project.board, shots=shots))


def _check_formats(clips: Sequence[Clip[TakeT]]) -> None:
    formats: dict[str, list[str]] = {}
    for clip in clips:
        width, height = clip.take.inputs.size
        formats.setdefault(f"{width}x{height} at {exact_rate_in_words(clip.take.inputs.fps)} fps", []).append(
            str(clip.number)
        )
    if len(formats) > 1:
        differing = [
            message("shots-of-format", shots=", ".join(n), format=kind) for kind, n in formats.items()
        ]
        raise Refused(message("formats-differ", formats=tuple(differing)))
