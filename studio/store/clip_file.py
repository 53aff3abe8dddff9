"""Reads clips: opened as MP4 and as nothing else, whatever their content looks like."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from moc_engine.clip import LONGEST_SIDE
from studio.domain.errors import DamagedClip
from studio.domain.messages import message
from studio.domain.storyboard import SECONDS

Picture = NDArray[np.uint8]
"""(height, width, 3) in OpenCV's order of colours: blue, green, red."""

CODECS: Final = ("h264", "hevc", "av1")
LONGEST_SECONDS: Final = SECONDS[1] + 1.0
"""Of a take's clip."""

_DEMUXER: Final = "mp4"
_JPEG_QUALITY: Final = 82


@contextmanager
def open_clip(clip: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """An MP4 file and its video track. Raises `DamagedClip` where it is no MP4 or cannot be decoded.

    The demuxer is given, not guessed: a picture or a playlist named .mp4 is not opened.
    """
    try:
        with av.open(clip, format=_DEMUXER, options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise DamagedClip(message("clip-without-video", file=clip.name))
            yield container, container.streams.video[0]
    except FileNotFoundError as error:
        raise DamagedClip(message("clip-missing", file=clip.name)) from error
    except (av.FFmpegError, UnicodeDecodeError) as error:
        if isinstance(error, OSError):  # of the disk, maybe of a file that is written meanwhile
            raise
        raise DamagedClip(message("clip-unreadable", file=clip.name)) from error


def check_clip(clip: Path) -> None:
    """Raises `DamagedClip` for what is no clip that a take could have: codec, size, length, first frame."""
    with open_clip(clip) as (container, track):
        codec = track.codec_context
        if codec.name not in CODECS:
            raise DamagedClip(message("clip-codec", codec=codec.name, known=", ".join(CODECS)))
        if not 0 < min(codec.width, codec.height) <= max(codec.width, codec.height) <= LONGEST_SIDE:
            raise DamagedClip(
                message("clip-too-large", width=codec.width, height=codec.height, most=LONGEST_SIDE)
            )
        seconds = (container.duration or 0) / av.time_base
        if not 0 < seconds <= LONGEST_SECONDS:
            raise DamagedClip(message("clip-too-long", seconds=seconds, most=LONGEST_SECONDS))
        frame_rate(track)
        if next(container.decode(track), None) is None:
            raise DamagedClip(message("clip-empty"))


def frame_rate(track: VideoStream) -> Fraction:
    """Frames a second; raises `DamagedClip` where the file does not say."""
    rate = track.average_rate
    if not rate:
        raise DamagedClip(message("clip-no-frame-rate"))
    return Fraction(rate)


def frame_count(container: InputContainer, track: VideoStream) -> int:
    """How many frames a track holds, counted where the file does not say; ends at the track's start."""
    if track.frames:
        return int(track.frames)
    count = sum(1 for packet in container.demux(track) if packet.pts is not None)
    container.seek(0)
    return count


def picture_at(clip: Path, frame: int, height: int | None = None) -> Picture:
    """One frame of a clip, counted from 0, or its last; as it is or scaled to a height."""
    return pictures_at(clip, [frame], height)[0]


def pictures_at(clip: Path, frames: Collection[int], height: int | None = None) -> list[Picture]:
    """Several frames of a clip, in the order asked for; raises `DamagedClip`.

    Frames that no other one is predicted from are decoded only where they were asked for.
    """
    with open_clip(clip) as (container, track):
        codec = track.codec_context
        codec.thread_type = "AUTO"
        shown = _times_of(container, track, frames)
        if not shown:
            raise DamagedClip(message("clip-named-empty", file=clip.name))
        wanted = set(shown.values())
        container.seek(min(wanted), stream=track)  # to the key frame before it
        found: dict[int, Picture] = {}
        last: VideoFrame | None = None
        for packet in container.demux(track):
            codec.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in wanted else "NONREF"
            for last in packet.decode():
                if last.pts in wanted and last.pts not in found:
                    found[last.pts] = _picture(last, height)
            if len(found) == len(wanted):
                break
        if last is None:
            raise DamagedClip(message("clip-named-empty", file=clip.name))
        for time in wanted - found.keys():
            found[time] = _picture(last, height)
    return [found[shown[number]] for number in frames]


def _times_of(container: InputContainer, track: VideoStream, frames: Collection[int]) -> dict[int, int]:
    """The time at which each of `frames` is shown, by number; that of the last frame beyond the end."""
    times = sorted(packet.pts for packet in container.demux(track) if packet.pts is not None)
    moment = 1 / (frame_rate(track) * (track.time_base or Fraction(1, av.time_base)))
    numbers = [round((time - (track.start_time or 0)) / moment) for time in times]
    return {number: times[min(bisect_left(numbers, number), len(times) - 1)] for number in frames if times}


def scaled(picture: Picture, height: int) -> Picture:
    """A picture of at most this height, with its proportions."""
    own, width = picture.shape[:2]
    if own <= height:
        return picture
    size = max(1, round(width * height / own)), height
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def jpeg(picture: Picture) -> bytes:
    """A picture as JPEG, as thumbnails are kept."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)


def png(picture: Picture) -> bytes:
    """A picture as PNG, without loss."""
    _, data = cv2.imencode(".png", picture)
    return bytes(data)


def _picture(frame: VideoFrame, height: int | None) -> Picture:
    if height is not None:
        width = max(2, round(height * frame.width / frame.height))
        frame = frame.reformat(width=width, height=height, format="bgr24")
    return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
