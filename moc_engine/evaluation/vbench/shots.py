"""Reads the shots of a clip, and writes a shot as a clip of its own without loss.

Frames are decoded by OpenCV, as VBench decodes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from moc_engine.clip import Frame

LOSSLESS: Final = {"qp": "0", "preset": "veryfast"}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The frames `first` to `first + frames` of a clip; `name` is what reports call it."""

    name: str
    clip: Path
    first: int
    frames: int


def frame_rate(clip: Path) -> float:
    """Frames per second, as VBench reads it. Raises `ValueError` for a file without a video."""
    video = _opened(clip)
    try:
        return float(video.get(cv2.CAP_PROP_FPS))
    finally:
        video.release()


def read(shots: Sequence[Shot]) -> Iterator[Iterator[Frame]]:
    """The frames of each shot, (h, w, 3) in OpenCV's order of colours: blue, green, red.

    Shots of one clip must follow each other in time, and the frames of a shot are read before the next one.
    Raises `ValueError` for a file without a video.
    """
    for clip, those in groupby(shots, key=lambda shot: shot.clip):
        video = _opened(clip)
        try:
            at = 0
            for shot in those:
                while at < shot.first and video.grab():
                    at += 1
                yield _next_frames(video, shot.frames)
                at = shot.first + shot.frames
        finally:
            video.release()


def write(shots: Sequence[Shot], targets: Sequence[Path]) -> None:
    """Writes each shot as a clip of its own, H.264 without loss; the order as for `read`."""
    pairs = zip(shots, targets, strict=True)
    for clip, those in groupby(pairs, key=lambda pair: pair[0].clip):
        with av.open(clip) as source:
            track = source.streams.video[0]
            pictures = source.decode(track)
            at = 0
            for shot, target in those:
                _encode(islice(pictures, shot.first - at, shot.first - at + shot.frames), track, target)
                at = shot.first + shot.frames


def _next_frames(video: Any, count: int) -> Iterator[Frame]:
    for _ in range(count):
        there, frame = video.read()
        if not there:
            return
        yield np.asarray(frame, dtype=np.uint8)


def _encode(pictures: Iterable[VideoFrame], track: VideoStream, target: Path) -> None:
    source, rate = track.codec_context, Fraction(track.average_rate or 24)
    with av.open(target, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=LOSSLESS)
        codec: Any = stream.codec_context
        codec.width, codec.height, codec.pix_fmt = source.width, source.height, "yuv420p"
        codec.color_range, codec.colorspace = source.color_range, source.colorspace
        codec.time_base = 1 / rate
        for number, picture in enumerate(pictures):
            picture.pict_type = PictureType.NONE
            picture.time_base, picture.pts = codec.time_base, number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _opened(clip: Path) -> Any:
    video = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    if not video.isOpened():
        raise ValueError(f"{clip.name}: no video that can be read")
    return video
