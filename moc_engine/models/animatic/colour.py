"""Conversions between OKLab, OKLCH, sRGB and linear RGB, as defined by Björn Ottosson (2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_LMS_FROM_LAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
_LMS_FROM_RGB = np.linalg.inv(_RGB_FROM_LMS)
_LAB_FROM_LMS = np.linalg.inv(_LMS_FROM_LAB)


def lab_from_lch(lch: ArrayLike) -> Floats:
    """OKLCH to OKLab: (..., 3) L, C, hue in degrees -> (..., 3) L, a, b."""
    lch = np.asarray(lch, dtype=np.float64)
    hue = np.deg2rad(lch[..., 2])
    return np.stack([lch[..., 0], lch[..., 1] * np.cos(hue), lch[..., 1] * np.sin(hue)], axis=-1)


def lch_from_lab(lab: ArrayLike) -> Floats:
    """OKLab to OKLCH: (..., 3) L, a, b -> (..., 3) L, C, hue in degrees within 0–360."""
    lab = np.asarray(lab, dtype=np.float64)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    hue = np.rad2deg(np.arctan2(lab[..., 2], lab[..., 1])) % 360.0
    return np.stack([lab[..., 0], chroma, hue], axis=-1)


def linear_from_lab(lab: ArrayLike) -> Floats:
    """OKLab to linear RGB: (..., 3) L, a, b -> (..., 3), clipped to 0–1."""
    lms = np.asarray(lab, dtype=np.float64) @ _LMS_FROM_LAB.T
    rgb: Floats = np.clip((lms**3) @ _RGB_FROM_LMS.T, 0.0, 1.0)
    return rgb


def lab_from_linear(rgb: ArrayLike) -> Floats:
    """Linear RGB to OKLab: (..., 3) in 0–1 -> (..., 3) L, a, b."""
    return np.cbrt(np.asarray(rgb, dtype=np.float64) @ _LMS_FROM_RGB.T) @ _LAB_FROM_LMS.T


def srgb_from_linear(rgb: ArrayLike) -> Floats:
    """Linear RGB to sRGB: (..., 3) in 0–1 -> (..., 3) in 0–1."""
    rgb = np.asarray(rgb, dtype=np.float64)
    return np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * np.maximum(rgb, 0.0031308) ** (1 / 2.4) - 0.055)


def linear_from_srgb(rgb: ArrayLike) -> Floats:
    """sRGB to linear RGB: (..., 3) in 0–1 -> (..., 3) in 0–1."""
    rgb = np.asarray(rgb, dtype=np.float64)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def srgb_from_lab(lab: ArrayLike) -> Floats:
    """OKLab to sRGB: (..., 3) L, a, b -> (..., 3) in 0–1, clipped to the gamut."""
    return srgb_from_linear(linear_from_lab(lab))
