"""The frames of a shot as a model is given them: at its rate by their times, and of one size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from moc_engine.clip import Frame
from moc_engine.models.pixels import resized
from moc_engine.training.data.footage.video_reading import UnreadableVideo, VideoReader

VERSION: Final = 1
"""Of how frames are chosen, cropped and resized; it enters the digests of latents."""


def shot_frames(
    file: Path,
    start: float,
    count: int,
    rate: float,
    size: tuple[int, int],
    *,
    check: Callable[[], None] = lambda: None,
) -> list[Frame]:
    """`count` frames of a file at `rate` a second from `start` seconds on, each of `size` (width, height).

    A frame is the one shown in the middle of its time. Raises `UnreadableVideo` where the file ends before.
    """
    times = [start + (nth + 0.5) / rate for nth in range(count)]
    frames: list[Frame] = []
    with VideoReader(file) as video:
        shown: Frame | None = None
        prepared: Frame | None = None
        spacing, last = 0.0, start
        for timed in video.frames(start, times[-1] + 1 / rate):
            check()
            spacing, last = timed.seconds - last, timed.seconds
            while shown is not None and len(frames) < count and times[len(frames)] < timed.seconds:
                prepared = _fitted(shown, size) if prepared is None else prepared
                frames.append(prepared)
            if len(frames) == count:
                return frames
            shown, prepared = timed.frame, None
        if shown is None or times[-1] > last + max(spacing, 1 / rate) + 0.5 / rate:
            raise UnreadableVideo("ends before it should")
        frames += [_fitted(shown, size)] * (count - len(frames))
    return frames


def _fitted(frame: Frame, size: tuple[int, int]) -> Frame:
    """The middle of a frame in the shape of a size, resized to it."""
    height, width = frame.shape[:2]
    across = min(width, max(1, round(height * size[0] / size[1])))
    down = min(height, max(1, round(width * size[1] / size[0])))
    left, top = (width - across) // 2, (height - down) // 2
    middle = frame[top : top + down, left : left + across]
    return middle.copy() if (across, down) == size else resized(middle, size)
