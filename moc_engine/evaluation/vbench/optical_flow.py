"""Motion of a shot by OpenCV's DIS optical flow, which needs no weights, in VBench's formulas.

Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016. The scores have names of their own:
they are none of VBench's, whose thresholds are made for RAFT and whose interpolation is AMT's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np

from moc_engine.clip import Frame
from moc_engine.evaluation.vbench.definitions import (
    Floats,
    fastest,
    is_dynamic,
    motion_smoothness,
    sampled,
    threshold,
)

SHORT_SIDE: Final = 256
"""Frames are scaled down to this shorter side, in pixels."""


def scaled(frame: Frame) -> Frame:
    """A frame as the flow is computed from it."""
    height, width = frame.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    if scale >= 1.0:
        return frame
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class DisFlow:
    """Dense flow between two frames; keeps its buffers from one call to the next."""

    def __init__(self) -> None:
        opencv: Any = cv2  # its type stubs lack this class
        self._dis = opencv.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(self, one: Frame, other: Frame) -> Floats:
        """(H, W, 2): how far each pixel of `one` moves to the right and down until `other`."""
        grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (one, other)]
        return np.asarray(self._dis.calc(*grey, None), dtype=np.float32)

    def between(self, one: Frame, other: Frame) -> Frame:
        """The frame halfway between two: each moved half of the flow towards the other, and averaged."""
        half = (self.flow(one, other) - self.flow(other, one)) / 4
        height, width = one.shape[:2]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        moved = [
            cv2.remap(
                frame,
                x + sign * half[..., 0],
                y + sign * half[..., 1],
                cv2.INTER_LINEAR,
                None,
                cv2.BORDER_REPLICATE,
            )
            for frame, sign in ((one, -1), (other, 1))
        ]
        return np.asarray(cv2.addWeighted(moved[0], 0.5, moved[1], 0.5, 0.0), dtype=np.uint8)


def flow_smoothness(frames: Sequence[Frame]) -> float:
    """Motion smoothness with frames interpolated by DIS flow; of `scaled` frames, three or more."""
    return motion_smoothness(frames, DisFlow().between)


def flow_lengths(frames: Sequence[Frame], fps: float) -> list[float]:
    """The longest flow between neighbours, about eight per second, as a multiple of what counts as moving."""
    dis = DisFlow()
    return [fastest(dis.flow(one, other)) / threshold(one) for one, other in pairwise(sampled(frames, fps))]


def is_moving(lengths: Sequence[float]) -> bool:
    """The dynamic degree's rule on `flow_lengths`."""
    return is_dynamic(lengths, 1.0)
