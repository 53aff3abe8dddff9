"""Preview films of footage: small, at a constant rate, with key frames close together.

The page plays them whatever the video's own format is, and frame N of one is frame N of the footage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from moc_engine.clip import ClipWriter, Frame
from moc_engine.errors import RenderCancelled
from moc_engine.files import atomic_file
from moc_engine.frame_rate import exact_rate
from moc_engine.training.data.footage.video_reading import UnreadableVideo, VideoFacts, VideoReader
from studio.domain.errors import DamagedClip
from studio.store.clip_file import frame_count, frame_rate, open_clip
from studio.worker.running_job import CancelToken

LONGEST_SIDE: Final = 480
KEY_FRAMES: Final = 12
"""Frames from one key frame to the next, at most."""

_MOST_NAMED: Final = 5
_QUALITY: Final = "26"
_USUAL_RATE: Final = 25.0
_HIGHEST_RATE: Final = 120.0
_LONGEST_GAP: Final = 600.0
"""Seconds without a new frame that are filled with the last one, at most."""

Report = Callable[[float, float | None], None]
"""Told the seconds of video that are done, and those there are in all, if known."""


@dataclass(frozen=True, kw_only=True)
class PreviewFilm:
    """What a preview film has: its frames, their rate, and the size of the video itself, as it is shown.

    `notes` say what of the video could not be decoded.
    """

    frames: int
    rate: Fraction
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


def read_preview(source: Path, preview: Path) -> PreviewFilm | None:
    """The preview film that was written before; None where there is none, or the video is newer.

    Raises as `write_preview` does.
    """
    try:
        if preview.stat().st_mtime < source.stat().st_mtime:
            return None
        with open_clip(preview) as (container, track):
            frames, rate = frame_count(container, track), frame_rate(track)
    except (DamagedClip, FileNotFoundError):
        return None
    with VideoReader(source) as video:
        return PreviewFilm(frames=frames, rate=rate, size=video.facts.size)


def write_preview(source: Path, preview: Path, report: Report, cancel: CancelToken) -> PreviewFilm:
    """Writes the preview film of a video. Where frames are missing, the one before them is repeated.

    Raises `UnreadableVideo` where the video cannot be read, and `RenderCancelled`.
    """
    with VideoReader(source) as video:
        rate, size = _constant_rate(video.facts), _preview_size(video.facts.size)
        frames = video.frames(longest_side=LONGEST_SIDE)
        first = next(frames, None)
        if first is None:
            raise UnreadableVideo("has no frame that can be decoded")
        with (
            atomic_file(preview) as part,
            ClipWriter(part, size, rate, quality=_QUALITY, key_frames=KEY_FRAMES) as film,
        ):
            picture, skipped = _fitted(first.frame, size), 0.0
            for timed in chain((first,), frames):
                if cancel.is_set():
                    raise RenderCancelled
                due = round((timed.seconds - skipped) * float(rate))
                gap = (due - film.frames) / float(rate)
                if gap > _LONGEST_GAP:
                    skipped += gap
                    due = film.frames
                if due < film.frames:  # two frames within one of the constant rate
                    continue
                while film.frames < due:
                    film.write(picture)
                picture = _fitted(timed.frame, size)
                film.write(picture)
                report(timed.seconds, video.facts.seconds)
            made = film.frames
        notes = () if not video.broken else (_broken_words(video.broken),)
        return PreviewFilm(frames=made, rate=rate, size=video.facts.size, notes=notes)


def _constant_rate(facts: VideoFacts) -> Fraction:
    """The frame rate of a video; one that varies has that of its average."""
    rate = facts.rate or _USUAL_RATE
    return exact_rate(rate if 1 <= rate <= _HIGHEST_RATE else _USUAL_RATE)


def _broken_words(moments: Sequence[float]) -> str:
    """Where a video could not be decoded, in whole seconds."""
    times = [f"{second // 60}:{second % 60:02d}" for second in sorted({int(moment) for moment in moments})]
    more = f" and {len(times) - _MOST_NAMED} more" if len(times) > _MOST_NAMED else ""
    return f"The video is damaged near {', '.join(times[:_MOST_NAMED])}{more}."


def _preview_size(size: tuple[int, int]) -> tuple[int, int]:
    """Both even, in the proportions of the video, and 16 at least."""
    scale = min(1.0, LONGEST_SIDE / max(size))
    width, height = (max(16, 2 * round(side * scale / 2)) for side in size)
    return width, height


def _fitted(frame: Frame, size: tuple[int, int]) -> Frame:
    if (frame.shape[1], frame.shape[0]) == size:
        return frame
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
