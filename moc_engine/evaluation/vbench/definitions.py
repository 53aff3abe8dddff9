"""VBench's dimensions as functions of a shot's frames and of the model that each one reads them by.

The formulas are those of VBench 0.1.5 (Huang et al., "VBench: Comprehensive Benchmark Suite for Video
Generative Models", CVPR 2024; github.com/Vchitect/VBench). A score is VBench's own only with VBench's model:
DINO, CLIP, AMT-S, RAFT, LAION's head or MUSIQ. Every score is within 0–1, and higher is better, but for the
dynamic degree, which is neither good nor bad.

Shapes: F frames, H and W sides, E width of the features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from moc_engine.clip import Frame

Floats = NDArray[np.floating]

SAMPLED_RATE: Final = 8
"""Frames per second, about, between which the dynamic degree looks for motion."""

FASTEST_SHARE: Final = 0.05
"""The share of the pixels, those with the longest flow, that the dynamic degree averages."""

LONGEST_IMAGING_SIDE: Final = 512


def consistency(features_FE: Floats) -> float:
    """Subject and background consistency: the mean of the frames' similarities to the others."""
    return float(np.mean(similarities(features_FE)))


def similarities(features_FE: Floats) -> list[float]:
    """Of every frame but the first, the mean cosine to the frame before and to the first, negative ones as 0.

    Raises `ValueError` for fewer than two frames.
    """
    if len(features_FE) < 2:
        raise ValueError("features_FE: two frames or more are compared")
    vectors = np.asarray(features_FE, np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    before = (vectors[1:] * vectors[:-1]).sum(axis=1).clip(min=0.0)
    first = (vectors[1:] @ vectors[0]).clip(min=0.0)
    return [float(value) for value in (before + first) / 2]


def temporal_flickering(frames: Iterable[Frame]) -> float:
    """255 less the mean absolute difference of neighbouring frames, as a share of 255.

    Float32, as VBench computes it. Raises `ValueError` for fewer than two frames.
    """
    wide = (np.asarray(frame, np.float32) for frame in frames)
    differences = [np.mean(cv2.absdiff(one, other)) for one, other in pairwise(wide)]
    if not differences:
        raise ValueError("frames: two frames or more are compared")
    return (255.0 - float(np.mean(np.array(differences)))) / 255.0


def motion_smoothness(frames: Sequence[Frame], interpolate: Callable[[Frame, Frame], Frame]) -> float:
    """How well every second frame is interpolated from its neighbours: 255 less the error, as a share of it.

    Raises `ValueError` for fewer than three frames.
    """
    if len(frames) < 3:
        raise ValueError("frames: one between two others is interpolated")
    errors = [
        cv2.absdiff(frames[at + 1], interpolate(frames[at], frames[at + 2])).mean()
        for at in range(0, len(frames) - 2, 2)
    ]
    return (255.0 - float(np.mean(errors))) / 255.0


def sampled(frames: Sequence[Frame], fps: float) -> Sequence[Frame]:
    """The frames, about eight per second, that the dynamic degree compares."""
    return frames[:: max(1, round(fps / SAMPLED_RATE))]


def fastest(flow_HW2: Floats) -> float:
    """The mean length of the flow in the 5% of the pixels where it is longest."""
    lengths = np.sort(np.hypot(flow_HW2[..., 0], flow_HW2[..., 1]), axis=None)[::-1]
    return float(np.mean(lengths[: int(lengths.size * FASTEST_SHARE)]))


def threshold(frame: Frame) -> float:
    """The length of `fastest`, in pixels, above which two frames count as moving."""
    height, width = frame.shape[:2]
    return 6.0 * float(min(height, width)) / 256.0


def is_dynamic(lengths: Sequence[float], least: float) -> bool:
    """Whether a quarter of the sampled frames move: `lengths` are `fastest` of each two neighbours.

    Of one or two frames, of which a quarter is rounded to none, VBench calls any pair dynamic.
    """
    needed = round(4 * (len(lengths) + 1) / 16)
    return bool(lengths) and sum(length > least for length in lengths) >= needed


def aesthetic_quality(features_FE: Floats, weights_E: Floats, bias: float) -> float:
    """A tenth of the mean rating: a linear function of normalised features."""
    lengths = np.maximum(np.linalg.norm(features_FE, axis=1, keepdims=True), 1e-12)
    return float(((features_FE / lengths) @ weights_E + bias).mean()) / 10.0


def imaging_quality(ratings_F: Sequence[float]) -> float:
    """A hundredth of the mean rating of frames of `imaging_size`."""
    return float(np.mean(ratings_F)) / 100.0


def imaging_size(width: int, height: int) -> tuple[int, int]:
    """The size at which a frame is rated: at most 512 pixels on the longer side."""
    scale = min(1.0, LONGEST_IMAGING_SIDE / max(width, height))
    return int(scale * width), int(scale * height)
