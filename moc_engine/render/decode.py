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
from moc_engine.render.prepare import PreparedRender

EVENT_EVERY: Final = 0.2
"""Seconds between two reports of the frames written."""


def decode_clip(
    prepared: PreparedRender, family: Family, latents: Tensor, clip: Path, cancel: CancelToken | None
) -> Generator[int, None, int]:
    """Decodes into the clip frame by frame; yields how many are written, and returns that.

    Raises `RenderCancelled` before the next frame once `cancel` is set.
    """
    request = prepared.request
    comment = json.dumps(dict(request.recipe), ensure_ascii=False, sort_keys=True)
    frames = family.frames(latents, seconds=request.seconds, fps=float(prepared.fps), size=request.size)
    reported = time.perf_counter()
    with ClipWriter(clip, request.size, prepared.fps, comment) as writer:
        for frame in frames:
            stop_if_cancelled(cancel)
            writer.write(frame)
            if time.perf_counter() - reported >= EVENT_EVERY or writer.frames == prepared.frames:
                yield writer.frames
                reported = time.perf_counter()
    return writer.frames


def png(frame: Frame) -> bytes:
    """A frame as a PNG file."""
    written, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert written
    return data.tobytes()
