"""Writes frames as an H.264 clip, one at a time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from moc_engine.frame_rate import exact_rate

Frame = NDArray[np.uint8]
"""(height, width, 3), RGB."""

PRESET: Final = "veryfast"
QUALITY: Final = "18"
LONGEST_SIDE: Final = 8192
"""The longest side of a frame, in pixels; the embedded model's decoder has the same limit."""

REPEATABLE: Final = "no-mbtree=1"
"""x264's macroblock tree sometimes encodes equal frames differently; clips must be reproducible."""

FEWER_CHOICES: Final = "partitions=i4x4,i8x8:b-adapt=0"
"""No macroblock is predicted in four parts, and B-frames follow a fixed pattern: a third less time for the
embedded model's clips, which get 6% smaller to 10% larger and lose 0.1 to 0.4 dB. The stream's headers stay
those of the preset, so that clips made before can follow in one film without being encoded again."""

_BT709: Final = 1
_LIMITED_RANGE: Final = 1


def check_format(size: tuple[int, int], fps: Fraction | float) -> None:
    """Raises `ValueError` for a size or rate that cannot be encoded."""
    width, height = size
    if min(size) < 16 or max(size) > LONGEST_SIDE or width % 2 or height % 2:
        raise ValueError(
            f"size: width and height must be even and within 16–{LONGEST_SIDE}, got {width}×{height}"
        )
    exact_rate(fps)


class ClipWriter:
    """Writes frames as H.264 in MP4: yuv420p, BT.709, index first, `comment` in the comment tag.

    A context manager; a block that fails leaves no file. `size` is (width, height), both even. `quality` is
    x264's CRF, smaller for finer; a key frame comes at least every `key_frames` frames.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: Fraction | float,
        comment: str = "",
        *,
        quality: str = QUALITY,
        key_frames: int | None = None,
    ) -> None:
        check_format(size, fps)
        self.frames = 0
        self._quality = quality
        self._key_frames = key_frames
        self._path = path
        self._size = size
        self._rate = exact_rate(fps)
        self._comment = comment
        self._reformatter = VideoReformatter()

    def __enter__(self) -> Self:
        self._container = av.open(self._path, "w", options={"movflags": "+faststart"})
        self._container.metadata["comment"] = self._comment
        options = {"preset": PRESET, "crf": self._quality, "x264-params": f"{REPEATABLE}:{FEWER_CHOICES}"}
        stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        self._stream: VideoStream = stream
        context: Any = self._stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = 1 / self._rate
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        if self._key_frames is not None:
            context.gop_size = self._key_frames
        return self

    def write(self, frame: Frame) -> None:
        """Adds one frame of the clip's size."""
        width, height = self._size
        if frame.shape != (height, width, 3):
            raise ValueError(f"frame: expected {(height, width, 3)}, got {frame.shape}")
        picture = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="rgb24"),
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU709,
        )
        self.write_picture(picture)

    def write_picture(self, picture: av.VideoFrame) -> None:
        """Adds a frame decoded from another clip of this kind, without converting its colours."""
        picture.pict_type = PictureType.NONE
        picture.pts = self.frames
        picture.time_base = 1 / self._rate
        picture.duration = 1
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = False
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
            self._container.close()
            whole = kind is None
        finally:
            if not whole:
                self._path.unlink(missing_ok=True)
