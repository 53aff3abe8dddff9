"""Finds the cuts of a video by PySceneDetect (https://www.scenedetect.com), the extra `footage`.

The detector is its `AdaptiveDetector`: a frame is the first of a shot where colours and brightness change
several times as much as at the frames around. Fades and slow dissolves are not found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import cv2

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cut_settings import SHORTEST, THRESHOLD
from moc_engine.training.data.footage.video_reading import UnreadableVideo, VideoReader

_LONGEST_SIDE: Final = 256
"""Pixels of the frames that are compared."""

_CLOCK: Final = Fraction(1, 90_000)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A piece of a video from one cut to the next, in seconds; its first frame is shown at the start."""

    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        return self.end_seconds - self.start_seconds


def detect_cuts(
    path: Path,
    *,
    threshold: float = THRESHOLD,
    shortest: float = SHORTEST,
    report: Callable[[float, float | None], None] | None = None,
) -> tuple[Cut, ...]:
    """The pieces of a video between its cuts, in order and without gaps: all of it.

    `report` is called with the seconds read and those of the whole, if known; what it raises ends the work.
    Raises `FootageError` naming a file that cannot be read, and where PySceneDetect is not installed.
    """
    if not threshold > 0:
        raise ValueError(f"threshold: must be above 0, got {threshold}")
    if not shortest >= 0:
        raise ValueError(f"shortest: must be 0 or more, got {shortest}")
    detector = _detector(threshold, shortest)
    starts, last, spacing = [0.0], 0.0, 0.0
    try:
        with VideoReader(path) as video:
            spacing = 1 / (video.facts.rate or 25.0)
            for timed in video.frames(longest_side=_LONGEST_SIDE):
                spacing = timed.seconds - last or spacing
                last = timed.seconds
                picture = cv2.cvtColor(timed.frame, cv2.COLOR_RGB2BGR)
                starts += [found.seconds for found in detector.process_frame(_timecode(last, video), picture)]
                if report is not None:
                    report(last, video.facts.seconds)
    except UnreadableVideo as error:
        raise FootageError(f"{path} {error}") from error
    ends = [*starts[1:], last + spacing]
    return tuple(
        Cut(start_seconds=round(start, 6), end_seconds=round(end, 6))
        for start, end in zip(starts, ends, strict=True)
    )


def _detector(threshold: float, shortest: float) -> Any:
    if find_spec("scenedetect") is None:
        raise FootageError(
            f"finding cuts needs PySceneDetect: {sys.executable} -m pip install -e '.[footage]'"
        )
    from scenedetect.detectors import AdaptiveDetector

    return AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=float(shortest))


def _timecode(seconds: float, video: VideoReader) -> Any:
    from scenedetect.common import FrameTimecode, Timecode

    clock = Timecode(pts=round(seconds / _CLOCK), time_base=_CLOCK)
    return FrameTimecode(clock, fps=Fraction(video.facts.rate or 25.0).limit_denominator(1001))
