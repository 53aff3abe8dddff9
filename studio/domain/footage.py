"""Footage: a long video as shots that follow each other, and the difference of two lists of them.

Positions are frames of the footage, counted from 0. A shot ends where the next one begins, and the last with
the footage; a shot may be left out of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from studio.domain.checks import check_text, composed

MOST_SHOTS: Final = 20_000
MOST_CAPTION: Final = 2000
"""Characters."""


@dataclass(frozen=True, kw_only=True)
class FootageShot:
    """A shot of footage by its first frame. One that is `left_out` is not trained on."""

    start: int
    caption: str = ""
    left_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A video of `frames` frames at `rate` frames a second, and its shots, the first of which begins at 0.

    `style` is the caption that every shot inherits.
    """

    frames: int
    rate: Fraction
    shots: tuple[FootageShot, ...]
    style: str = ""

    def end(self, shot: int) -> int:
        """The frame after the last one of a shot."""
        return self.shots[shot + 1].start if shot + 1 < len(self.shots) else self.frames

    def shot_at(self, frame: int) -> int:
        """The index of the shot that a frame belongs to."""
        return max(index for index, shot in enumerate(self.shots) if shot.start <= frame)


@dataclass(frozen=True, kw_only=True)
class FootageChange:
    """What an edit changed: the shots from `at` on that were `before` are those `after` it.

    `styles` are the styles before and after.
    """

    at: int
    before: tuple[FootageShot, ...]
    after: tuple[FootageShot, ...]
    styles: tuple[str, str] = ("", "")

    def __bool__(self) -> bool:
        return self.before != self.after or self.styles[0] != self.styles[1]

    @property
    def inverse(self) -> FootageChange:
        styles = self.styles[1], self.styles[0]
        return FootageChange(at=self.at, before=self.after, after=self.before, styles=styles)

    def apply(self, footage: Footage) -> Footage:
        shots = footage.shots
        changed = (*shots[: self.at], *self.after, *shots[self.at + len(self.before) :])
        return replace(footage, shots=changed, style=self.styles[1])


def footage_difference(old: Footage, new: Footage) -> FootageChange:
    """The smallest change that leads from one state of a video's shots to another."""
    shorter = min(len(old.shots), len(new.shots))
    at = next((index for index in range(shorter) if old.shots[index] != new.shots[index]), shorter)
    same = 0
    while same < shorter - at and old.shots[-1 - same] == new.shots[-1 - same]:
        same += 1
    return FootageChange(
        at=at,
        before=old.shots[at : len(old.shots) - same],
        after=new.shots[at : len(new.shots) - same],
        styles=(old.style, new.style),
    )


def shots_between(given: Sequence[tuple[int, int, str, bool]], frames: int) -> tuple[FootageShot, ...]:
    """The shots of footage of `frames` frames of which these are given, as (start, end, caption, left out).

    What lies between them is left out. Those that overlap, or lie beyond the end, are cut short.
    """
    shots: list[FootageShot] = []
    position = 0
    for start, end, caption, left_out in sorted(given):
        start, end = max(position, start), min(end, frames)
        if start >= end:
            continue
        if start > position:
            shots.append(FootageShot(start=position, left_out=True))
        shots.append(FootageShot(start=start, caption=caption, left_out=left_out))
        position = end
    if position < frames:
        shots.append(FootageShot(start=position, left_out=bool(shots)))
    return tuple(shots)


def tidy_caption(text: str) -> str:
    """A caption in one line, letters and accents as one character. Raises `BadStoryboard`."""
    caption = composed(" ".join(text.split()))
    if caption:
        check_text(caption, "caption", most=MOST_CAPTION)
    return caption
