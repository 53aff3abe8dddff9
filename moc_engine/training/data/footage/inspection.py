"""Looks at every frame of a clip, reduced, and says what is wrong with it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from moc_engine.clip import Frame
from moc_engine.training.data.footage.clip_needs import ClipNeeds
from moc_engine.training.data.footage.clock_times import shown_time
from moc_engine.training.data.footage.problems import Problem, ProblemKind
from moc_engine.training.data.footage.video_reading import TOLERANCE, UnreadableVideo, VideoReader

_LONGEST_SIDE: Final = 96
"""Pixels of the frames that are looked at."""

_DARK: Final = 40
"""The brightness (0–255) that 99% of a black frame's pixels do not reach."""

_STILL: Final = 0.4
"""The mean difference in brightness (0–255) from one frame to the next below which nothing moves."""

_UNEVEN: Final = 0.25
"""The share by which the time between two frames may differ from the usual one."""

_GAP: Final = 0.3
"""Seconds between two frames, and three times the usual, from which frames are missing."""

_LOW_RATE: Final = 0.9
"""The share of a model's frame rate below which a clip has too few frames."""


@dataclass(frozen=True, kw_only=True)
class ClipFacts:
    """What a clip's frames are like; times in seconds of the file.

    `end` is when the last frame is gone. `told_seconds` is how long the file claims to be, if it does. `rate`
    are the frames a second that are usual in it, `uneven` and `gap` the times of the first frame that comes
    at an unusual time, and after frames that are missing; `broken` of what cannot be decoded. `dark` and
    `still` are shares of its frames.
    """

    size: tuple[int, int]
    start: float
    end: float
    frames: int
    rate: float
    told_seconds: float | None = None
    uneven: float | None = None
    gap: float | None = None
    broken: tuple[float, ...] = ()
    hdr: str | None = None
    dark: float = 0.0
    still: float = 0.0


def inspect(
    file: Path, start: float = 0.0, end: float | None = None, *, check: Callable[[], None] = lambda: None
) -> ClipFacts:
    """The facts of a file, or of a piece of it; `check` is called at every frame, and may raise.

    Raises `UnreadableVideo` where there is no frame, and `OSError` of the disk.
    """
    times: list[float] = []
    dark = still = 0
    before: NDArray[np.int16] | None = None
    with VideoReader(file) as video:
        for timed in video.frames(start, end, longest_side=_LONGEST_SIDE):
            check()
            times.append(timed.seconds)
            grey = _grey(timed.frame)
            dark += bool(np.percentile(grey, 99) < _DARK)
            if before is not None and before.shape == grey.shape:
                still += bool(np.abs(grey - before).mean() < _STILL)
            before = grey
        if not times:
            raise UnreadableVideo(f"has no frame from {shown_time(start)} on")
        broken = tuple(at for at in video.broken if at >= start - TOLERANCE and (end is None or at < end))
        facts = video.facts
    spacings = [after - one for one, after in pairwise(times)]
    usual = statistics.median(spacings) if spacings else 1 / (facts.rate or 25.0)
    last = times[-1] + usual
    return ClipFacts(
        size=facts.size,
        start=times[0],
        end=last if end is None else min(end, last),
        frames=len(times),
        rate=1 / usual,
        told_seconds=facts.seconds,
        uneven=_first(times, spacings, lambda spacing: abs(spacing - usual) > _UNEVEN * usual + TOLERANCE),
        gap=_first(times, spacings, lambda spacing: spacing > max(3 * usual, _GAP)),
        broken=broken,
        hdr=facts.hdr,
        dark=dark / len(times),
        still=still / max(1, len(times) - 1),
    )


def problems_of_clip(
    file: Path, facts: ClipFacts, needs: ClipNeeds, end: float | None = None
) -> Iterator[Problem]:
    """What is wrong with a clip by itself; `end` is where the shot was to end, None for that of the file."""

    def problem(kind: ProblemKind, text: str, at: float = facts.start) -> Problem:
        return Problem(kind=kind, file=file, text=text, start=at)

    seconds = facts.end - facts.start
    if facts.broken:
        yield problem("broken", f"{_count(len(facts.broken), 'frame')} cannot be decoded", facts.broken[0])
    wanted = facts.told_seconds if end is None else end
    if wanted is not None and wanted - facts.end > max(0.5, 2 / facts.rate):
        yield problem("cut-off", f"ends at {shown_time(facts.end)}, before {shown_time(wanted)}")
    if facts.gap is not None:
        yield problem("gap", "frames are missing before this one", facts.gap)
    if facts.hdr is not None:
        yield problem("hdr", f"is HDR ({facts.hdr}); convert it to BT.709")
    if facts.uneven is not None and facts.gap is None:
        yield problem("variable-rate", "frames come at uneven times from here on: resampled", facts.uneven)
    if facts.rate < _LOW_RATE * needs.rate and facts.frames > 1:
        yield problem("low-rate", f"has {facts.rate:.4g} frames a second, and the model {needs.rate:g}")
    elif abs(facts.rate - needs.rate) > 0.01 * needs.rate and facts.frames > 1:
        yield problem("other-rate", f"{facts.rate:.4g} frames a second become {needs.rate:g}")
    if not needs.frames_of(seconds):
        least = 1 + needs.frame_step
        yield problem(
            "too-short", f"lasts {seconds:.2f} s, and {least} frames at {needs.rate:g} a second are needed"
        )
    elif needs.frames_of(seconds) == needs.frames and seconds * needs.rate > needs.frames + needs.frame_step:
        used = needs.frames / needs.rate
        yield problem("too-long", f"lasts {seconds:.1f} s: its first {used:.1f} s are used")
    if facts.dark > 0.5:
        yield problem("black", f"{facts.dark:.0%} of its frames are black")
    elif facts.still > 0.95 and facts.frames > 1:
        yield problem("frozen", "nothing moves in it")


def sampled(frames: Sequence[Frame], count: int) -> list[Frame]:
    """So many of the frames, evenly spread, the first and the last among them."""
    if len(frames) <= count:
        return list(frames)
    return [frames[round(at)] for at in np.linspace(0, len(frames) - 1, count)]


def _grey(frame: Frame) -> NDArray[np.int16]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.int16)


def _first(times: Sequence[float], spacings: Sequence[float], found: Callable[[float], bool]) -> float | None:
    return next((times[at + 1] for at, spacing in enumerate(spacings) if found(spacing)), None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
