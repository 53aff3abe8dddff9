"""Reads the frames of video files of any kind, whatever state they are in.

    file ─► demuxer ─► decoder ─► turned as its metadata says, square pixels, RGB ─► TimedFrame

What cannot be decoded is counted and left out; a file of which nothing can be decoded is an error in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from moc_engine.clip import Frame
from moc_engine.errors import FootageError

SUFFIXES: Final = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
        *(".wmv", ".flv", ".ogv", ".mxf", ".3gp", ".gif"),
    }
)
"""The endings of files that are read as videos, in lower case."""

_DEMUXERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,live_flv,ogg,mxf,gif,h264,hevc"
)
"""No playlists, which would open other files, and nothing that reads text as pictures."""

TOLERANCE: Final = 0.002
"""Seconds by which times may be rounded: cuts are written in milliseconds."""

_PQ, _HLG = 16, 18  # the transfer functions of HDR
_BT709, _BT601, _UNSPECIFIED = 1, 6, 2
_MOST_SIDE: Final = 16384


class UnreadableVideo(FootageError):
    """A file that is no video, or of which nothing can be decoded; the message does not name it."""


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What a file says of itself: `size` (width, height) as it is shown, and frames a second on average.

    `seconds` and `rate` are None where it does not say. `hdr` names its transfer function: its colours need
    tone mapping.
    """

    size: tuple[int, int]
    seconds: float | None
    rate: float | None
    hdr: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedFrame:
    """A frame, and when it is shown, in seconds from the first one of the file on."""

    seconds: float
    frame: Frame


class VideoReader:
    """A video file that is open; a context manager. Raises `UnreadableVideo`, and `OSError` of the disk.

    `broken` are the times near which something could not be decoded, of what was read last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broken: list[float] = []
        self._start = 0.0
        self._reformatter = VideoReformatter()
        try:
            self._container = _opened(path)
        except (av.FFmpegError, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
                raise
            empty = path.is_file() and not path.stat().st_size
            raise UnreadableVideo("is empty" if empty else f"is no video: {_words(error)}") from error
        try:
            self._track = self._video_track()
            self._start, self.facts = self._first()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def _video_track(self) -> VideoStream:
        tracks = [track for track in self._container.streams.video if not _is_cover(track)]
        if not tracks:
            raise UnreadableVideo("has no video track")
        track = tracks[0]
        if track.codec_context is None:
            raise UnreadableVideo("has a video of a kind that cannot be decoded")
        track.thread_type = "AUTO"
        return track

    def _first(self) -> tuple[float, VideoFacts]:
        """When the first frame is shown by the file's clock, and the facts, the size being that frame's."""
        first = next(self._decoded(), None)
        if first is None:
            raise UnreadableVideo("has no frame that can be decoded")
        track = self._track
        seconds = None
        if track.duration is not None and track.time_base is not None:
            seconds = float(track.duration * track.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / av.time_base
        rate = track.average_rate or track.guessed_rate
        width, height = _shown_size(first, track)
        if max(width, height) > _MOST_SIDE:
            raise UnreadableVideo(f"has frames of {width}×{height} pixels")
        return (first.time or 0.0), VideoFacts(
            size=(width, height),
            seconds=seconds,
            rate=float(rate) if rate else None,
            hdr={_PQ: "PQ", _HLG: "HLG"}.get(int(first.color_trc)),
        )

    def frames(
        self, start: float = 0.0, end: float | None = None, *, longest_side: int | None = None
    ) -> Iterator[TimedFrame]:
        """The frames shown from `start` until before `end`, in order, the longest side reduced to this.

        The first is that shown at `start`, and is given that time.
        """
        self._rewind(start)
        before: VideoFrame | None = None
        last = -1.0
        for frame in self._decoded():
            seconds = self._seconds(frame, last)
            if seconds <= last:  # out of order, or twice
                continue
            last = seconds
            if seconds < start - TOLERANCE:
                before = frame
                continue
            if end is not None and seconds >= end - TOLERANCE:
                break
            if before is not None and seconds > start + TOLERANCE:
                yield TimedFrame(seconds=start, frame=self._picture(before, longest_side))
            before = None
            yield TimedFrame(seconds=seconds, frame=self._picture(frame, longest_side))
        if before is not None and (end is None or end > start) and self._is_shown(before, start):
            yield TimedFrame(seconds=start, frame=self._picture(before, longest_side))

    def _is_shown(self, frame: VideoFrame, seconds: float) -> bool:
        """Whether the last frame of the file is still shown at a time."""
        shown = self._seconds(frame, -1.0)
        length = float(frame.duration * (frame.time_base or 0)) if frame.duration else 0.0
        return shown + length > seconds + TOLERANCE

    def _seconds(self, frame: VideoFrame, last: float) -> float:
        if frame.time is None:  # such as raw streams, which have no clock
            return last + 1 / (self.facts.rate or 25.0) if last >= 0 else 0.0
        return frame.time - self._start

    def _rewind(self, seconds: float) -> None:
        """Goes to the last key frame at or before a time."""
        self.broken.clear()
        base = float(self._track.time_base or Fraction(1, av.time_base))
        target = int((max(0.0, seconds) + self._start) / base)
        try:
            self._container.seek(target, backward=True, stream=self._track)
        except av.FFmpegError:  # a file that cannot seek is read from its beginning
            self._reopen()

    def _reopen(self) -> None:
        self._container.close()
        self._container = _opened(self.path)
        self._track = self._video_track()

    def _decoded(self) -> Iterator[VideoFrame]:
        """The frames from where the file stands, in the order in which they are shown."""
        packets = self._container.demux(self._track)
        at = 0.0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:  # cut off, or damaged beyond where packets are found
                self._note(at)
                return
            if packet.pts is not None:
                at = float(packet.pts * packet.time_base)
            if packet.is_corrupt:
                self._note(at)
            try:
                found = packet.decode()
            except av.FFmpegError:
                self._note(at)
                continue
            for frame in found:
                assert isinstance(frame, VideoFrame)
                if frame.is_corrupt:
                    self._note(at if frame.time is None else frame.time)
                yield frame

    def _note(self, clock: float) -> None:
        self.broken.append(max(0.0, clock - self._start))

    def _picture(self, frame: VideoFrame, longest_side: int | None) -> Frame:
        """A frame as it is shown, in RGB."""
        width, height = _coded_size(frame, self._track)
        shrink = 1.0 if longest_side is None else min(1.0, longest_side / max(width, height))
        colours = int(frame.colorspace)
        matrix = colours
        if colours in (0, _UNSPECIFIED):
            matrix = _BT709 if frame.height >= 720 else _BT601
        full = frame.format.name.startswith("yuvj") or int(frame.color_range) == ColorRange.JPEG
        rgb = self._reformatter.reformat(
            frame,
            width=max(1, round(width * shrink)),
            height=max(1, round(height * shrink)),
            format="rgb24",
            src_colorspace=Colorspace.ITU709 if matrix == _BT709 else Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        picture = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        turns = (round(frame.rotation / 90) % 4) if frame.rotation else 0
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _opened(path: Path) -> InputContainer:
    return av.open(path, options={"protocol_whitelist": "file", "format_whitelist": _DEMUXERS})


def _is_cover(track: VideoStream) -> bool:
    """Whether a track is a picture for the cover."""
    disposition: Any = getattr(track, "disposition", None)
    return bool(disposition is not None and "attached_pic" in str(disposition))


def _coded_size(frame: VideoFrame, track: VideoStream) -> tuple[int, int]:
    """Width and height in square pixels, before the frame is turned."""
    aspect = track.sample_aspect_ratio
    wide = float(aspect) if aspect and 0.1 < aspect < 10 else 1.0
    return max(1, round(frame.width * wide)), frame.height


def _shown_size(frame: VideoFrame, track: VideoStream) -> tuple[int, int]:
    width, height = _coded_size(frame, track)
    return (height, width) if frame.rotation and round(frame.rotation / 90) % 2 else (width, height)


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
