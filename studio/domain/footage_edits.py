"""Edits of footage: where it is cut, what is left out, and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from studio.domain.errors import Refused
from studio.domain.footage import MOST_CAPTION, MOST_SHOTS, Footage, FootageShot, tidy_caption
from studio.domain.messages import message


@dataclass(frozen=True, kw_only=True)
class MoveCut:
    """Moves the cut at which a shot begins to another frame between the cuts beside it."""

    op: Literal["move-cut"] = "move-cut"
    shot: int
    to: int

    joins: ClassVar[bool] = True

    def words(self) -> str:
        return f"move the cut before shot {self.shot + 1}"

    def apply(self, footage: Footage) -> Footage:
        _check_cut(footage, self.shot)
        if not footage.shots[self.shot - 1].start < self.to < footage.end(self.shot):
            raise Refused(message("cut-beyond-neighbours"))
        return _with(footage, self.shot, [replace(footage.shots[self.shot], start=self.to)])


@dataclass(frozen=True, kw_only=True)
class MergeShots:
    """Removes the cut after a shot: the next one becomes its end. Captions that differ are joined."""

    op: Literal["merge"] = "merge"
    shot: int

    joins: ClassVar[bool] = False

    def words(self) -> str:
        return f"merge shots {self.shot + 1} and {self.shot + 2}"

    def apply(self, footage: Footage) -> Footage:
        _check_cut(footage, self.shot + 1)
        first, second = footage.shots[self.shot : self.shot + 2]
        captions = dict.fromkeys(text for text in (first.caption, second.caption) if text)
        merged = FootageShot(
            start=first.start,
            caption=" ".join(captions)[:MOST_CAPTION],
            left_out=first.left_out and second.left_out,
        )
        return _with(footage, self.shot, [merged], length=2)


@dataclass(frozen=True, kw_only=True)
class SplitShot:
    """Adds a cut before a frame; both parts keep the caption."""

    op: Literal["split"] = "split"
    at: int

    joins: ClassVar[bool] = False

    def words(self) -> str:
        return "add a cut"

    def apply(self, footage: Footage) -> Footage:
        if not 0 < self.at < footage.frames:
            raise Refused(message("cut-at-the-end"))
        index = footage.shot_at(self.at)
        shot = footage.shots[index]
        if shot.start == self.at:
            raise Refused(message("cut-there-already"))
        if len(footage.shots) >= MOST_SHOTS:
            raise Refused(message("too-many-cuts", most=MOST_SHOTS))
        return _with(footage, index, [shot, replace(shot, start=self.at)])


@dataclass(frozen=True, kw_only=True)
class LeaveOut:
    """Leaves a shot out of training, or takes it in again."""

    op: Literal["leave-out"] = "leave-out"
    shot: int
    on: bool

    joins: ClassVar[bool] = False

    def words(self) -> str:
        return f"leave out shot {self.shot + 1}" if self.on else f"take in shot {self.shot + 1}"

    def apply(self, footage: Footage) -> Footage:
        _check_shot(footage, self.shot)
        return _with(footage, self.shot, [replace(footage.shots[self.shot], left_out=self.on)])


@dataclass(frozen=True, kw_only=True)
class CaptionShot:
    """Sets the caption of a shot; empty for none."""

    op: Literal["caption"] = "caption"
    shot: int
    caption: str

    joins: ClassVar[bool] = True

    def words(self) -> str:
        return f"caption of shot {self.shot + 1}"

    def apply(self, footage: Footage) -> Footage:
        _check_shot(footage, self.shot)
        shot = replace(footage.shots[self.shot], caption=tidy_caption(self.caption))
        return _with(footage, self.shot, [shot])


@dataclass(frozen=True, kw_only=True)
class StyleFootage:
    """Sets the style, which is added to the caption of every shot; empty for none."""

    op: Literal["style"] = "style"
    style: str

    joins: ClassVar[bool] = True

    def words(self) -> str:
        return "style"

    def apply(self, footage: Footage) -> Footage:
        return replace(footage, style=tidy_caption(self.style))


@dataclass(frozen=True, kw_only=True)
class ReplaceShots:
    """Replaces all shots, such as by those of a storyboard file; `what` names it for undo.

    The style stays where None is given.
    """

    shots: tuple[FootageShot, ...]
    what: str
    style: str | None = None

    joins: ClassVar[bool] = False

    def words(self) -> str:
        return self.what

    def apply(self, footage: Footage) -> Footage:
        return replace(footage, shots=self.shots, style=footage.style if self.style is None else self.style)


FootageEdit = MoveCut | MergeShots | SplitShot | LeaveOut | CaptionShot | StyleFootage
"""Every edit of footage that a person makes. Edits of a kind that `joins` become one step of undo where they
are of the same shot and follow each other at once."""


def _check_shot(footage: Footage, shot: int) -> None:
    if not 0 <= shot < len(footage.shots):
        raise Refused(message("shot-not-found"))


def _check_cut(footage: Footage, shot: int) -> None:
    """Raises `Refused` where no cut lies before the shot of this index."""
    _check_shot(footage, shot)
    if shot == 0:
        raise Refused(message("cut-not-found"))


def _with(footage: Footage, at: int, after: Sequence[FootageShot], length: int = 1) -> Footage:
    """The footage with other shots in place of some."""
    return replace(footage, shots=(*footage.shots[:at], *after, *footage.shots[at + length :]))
