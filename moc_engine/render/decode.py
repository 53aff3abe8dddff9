"""Decodes latents into the frames of a clip."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import cv2
from torch import Tensor

from moc_engine.clip import ClipWriter, Frame
from moc_engine.contract import CancelToken
from moc_engine.models.base import Family
from moc_engine.render.denoise import stop_if_cancelled
from moc_engine.render.filmstrip import Filmstrip
from moc_engine.render.frame_encoding import FrameEncoding
from moc_engine.render.prepare import PreparedRender

EVENT_EVERY: Final = 0.2
"""Seconds between two reports of the frames written."""

_JPEG_QUALITY: Final = 82


def decode_clip(
    prepared: PreparedRender,
    family: Family,
    latents: Tensor,
    clip: Path,
    cancel: CancelToken | None,
    strip: Filmstrip | None = None,
) -> Generator[int, None, int]:
    """Decodes into the clip frame by frame; yields how many are written, and returns that.

    A frame is encoded while the next one is decoded. `strip` is shown each frame. Raises `RenderCancelled`
    before the next frame once `cancel` is set.
    """
    request = prepared.request
    comment = json.dumps(dict(request.recipe), ensure_ascii=False, sort_keys=True)
    frames = family.frames(latents, seconds=request.seconds, fps=float(prepared.fps), size=request.size)
    reported = time.perf_counter()
    with ClipWriter(clip, request.size, prepared.fps, comment) as writer:
        with FrameEncoding(writer) as encoding:
            for number, frame in enumerate(frames):
                stop_if_cancelled(cancel)
                encoding.add(frame)
                if strip is not None:
                    strip.see(number, frame)
                if time.perf_counter() - reported >= EVENT_EVERY:
                    yield writer.frames
                    reported = time.perf_counter()
        yield writer.frames
    return writer.frames


def jpeg(picture: Frame) -> bytes:
    """A picture as a JPEG file."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    written, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert written
    return data.tobytes()


def png(frame: Frame) -> bytes:
    """A frame as a PNG file."""
    written, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert written
    return data.tobytes()
