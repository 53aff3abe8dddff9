"""A timeline: a cleaned scene as a continuous function of time.

Predicted scenes are noisy and may be invalid. Fields that are constant in a shot (set, shape, kind of prop)
are averaged over it, fields that hardly change are made constant, amounts have soft thresholds, and all
values are clipped to their legal ranges. Between latent frames, positions and limbs follow Catmull-Rom
curves, amounts follow monotone curves that do not overshoot, and angles take the shorter direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.scene import (
    CHANNELS,
    LATENT_RATE,
    SLOT_FIELDS,
    SLOTS,
    Array,
    Field,
    Scene,
    Track,
    frame_times,
)

Floats = NDArray[np.float64]

_UNIT: Final = (0.0, 1.0)
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "x": (-6.0, 6.0),
    "camera x": (-6.0, 6.0),
    "y": (-1.0, 1.5),
    "zoom": (-0.5, 2.0),
    "camera roll": (-0.06, 0.06),
    "tint": (-0.12, 0.12),
    "layout": (-1.0, 1.0),
    "body": (-0.6, 0.3),
    "accent": (-0.6, 0.3),
    "colour": (-0.6, 0.3),
    "growth": (-0.6, 1.0),
    "depth": (-1.0, 1.0),
    "lift": (0.0, 8.0),
    "squash": (-0.45, 0.45),
    "near_hand": (-1.5, 1.5),
    "far_hand": (-1.5, 1.5),
    "eye": (0.0, 1.4),
    "lid_tilt": (-0.8, 0.8),
    "brow": (-0.9, 0.9),
    "brow_lift": (-0.15, 0.2),
    "mouth_curve": (-1.0, 1.0),
    "mouth_width": (0.08, 0.5),
    "pupil": (0.4, 1.4),
    "gaze": (-1.0, 1.0),
    "size": (0.3, 2.0),
}
"""Legal ranges; fields not named here are amounts within 0–1."""

_CONSTANT_FIELDS: Final = frozenset({"kind", "shape", "tint", "layout", "cast"})
_STEADY_TOLERANCES: Final[Mapping[str, float]] = {
    "body": 0.045,
    "accent": 0.045,
    "colour": 0.045,
    "growth": 0.06,
    "sunset": 0.15,
    "night": 0.15,
    "rain": 0.15,
    "snow": 0.15,
    "fog": 0.15,
    "wind": 0.15,
    "zoom": 0.035,
    "camera x": 0.02,
    "y": 0.015,
    "camera roll": 0.006,
    "x": 0.008,
    "depth": 0.12,
    "size": 0.12,
}
"""The largest deviation of a smoothed field from its mean at which it is held constant."""

_SOFT_THRESHOLDS: Final[Mapping[str, tuple[float, float]]] = {
    "presence": (0.3, 0.7),
    "accessory": (0.2, 0.8),
    "held": (0.2, 0.8),
    "tear": (0.2, 0.8),
    "doze": (0.2, 0.8),
    "teeth": (0.15, 0.85),
    "sit": (0.08, 0.92),
    "walk": (0.08, 0.92),
    "run": (0.08, 0.92),
    "tuck": (0.06, 0.96),
    "shake": (0.1, 0.9),
    "sunset": (0.1, 0.9),
    "night": (0.1, 0.9),
    "rain": (0.1, 0.9),
    "snow": (0.1, 0.9),
    "fog": (0.1, 0.9),
    "wind": (0.1, 0.9),
}
"""The values at which an amount counts as 0 and as 1."""

_SHARPNESS: Final = 6


class Timeline:
    """A cleaned scene; `at(time)` is what it holds at an instant."""

    def __init__(self, scene: Scene) -> None:
        values = np.nan_to_num(scene.values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        self._values = np.clip(values, -1e3, 1e3)
        self._frames = len(scene)
        if not self._frames:
            raise ValueError("scene: it has no frames")
        self._monotone = np.zeros((SLOTS, CHANNELS), dtype=bool)
        self._angles: list[tuple[int, slice]] = []
        for slot, fields in enumerate(SLOT_FIELDS):
            self._clean(slot, fields)
        self._tangents = self._slopes(self._values, self._monotone)
        turned = [
            np.unwrap(np.arctan2(self._values[:, s, c.start + 1], self._values[:, s, c.start]))
            for s, c in self._angles
        ]
        self._turned = np.stack(turned, axis=1)
        self._spins = self._slopes(self._turned, np.zeros(len(turned), dtype=bool))
        self._slots = np.array([s for s, _ in self._angles])
        self._columns = np.array([c.start for _, c in self._angles])

    @property
    def seconds(self) -> float:
        """The duration of the scene."""
        return self._frames / LATENT_RATE

    def at(self, time: float) -> Array:
        """(SLOTS, CHANNELS) in the scene's units at `time` seconds; extrapolated up to half a frame."""
        values = _hermite(self._values, self._tangents, time)
        angle = _hermite(self._turned, self._spins, time)
        values[self._slots, self._columns] = np.cos(angle)
        values[self._slots, self._columns + 1] = np.sin(angle)
        np.clip(values, _LOWEST, _HIGHEST, out=values)
        return values.astype(np.float32)

    def drawn(self) -> Scene:
        """The scene as it is drawn, at the latent frames."""
        return Scene(np.stack([self.at(time) for time in frame_times(self._frames)]))

    def is_constant(self, name: str, slot: int = 0) -> bool:
        """Whether a field never changes."""
        part = Track(self._values[:, slot].astype(np.float32), slot)[name]
        return bool(np.ptp(part, axis=0).max() == 0.0)

    def mean(self, name: str, slot: int = 0) -> Floats:
        """A field's mean over the shot, (width,)."""
        part = Track(self._values[:, slot].astype(np.float32), slot)[name]
        return np.atleast_1d(part.mean(axis=0)).astype(np.float64)

    def _clean(self, slot: int, fields: tuple[Field, ...]) -> None:
        start = 0
        for field in fields:
            columns = slice(start, start + field.width)
            start += field.width
            if field.angle:
                self._angles.append((slot, columns))
                continue
            key = _key(field.name, slot)
            low, high = _RANGES.get(key, _UNIT)
            part = np.clip(self._values[:, slot, columns], low, high)
            if field.name in _CONSTANT_FIELDS:
                part = np.broadcast_to(part.mean(axis=0), part.shape)
                if field.name in ("kind", "shape", "cast"):
                    part = _sharpened(part)
            elif key in _STEADY_TOLERANCES:
                part = _steadied(part, _STEADY_TOLERANCES[key], rounds=2 if slot == 0 else int(key != "x"))
            if field.name in _SOFT_THRESHOLDS:
                zero, one = _SOFT_THRESHOLDS[field.name]
                part = np.clip((part - zero) / (one - zero), 0.0, 1.0)
            if field.name == "lift":
                part = part * _smoothstep(part / 0.07)
            self._values[:, slot, columns] = part
            self._monotone[slot, columns] = key not in _RANGES or field.name in ("zoom", "growth", "lift")

    def _slopes(self, values: Floats, monotone: NDArray[np.bool_]) -> Floats:
        """Tangents per frame: Catmull-Rom, or Fritsch and Carlson's where it must not overshoot."""
        slopes = np.zeros_like(values)
        if len(values) < 2:
            return slopes
        steps = np.diff(values, axis=0)
        slopes[1:-1] = (values[2:] - values[:-2]) / 2
        slopes[0], slopes[-1] = steps[0], steps[-1]
        before, after = steps[:-1], steps[1:]
        product = before * after
        safe = np.where(product > 0, before + after, 1.0)
        harmonic = np.where(product > 0, 2 * product / safe, 0.0)
        slopes[1:-1] = np.where(monotone, harmonic, slopes[1:-1])
        slopes[0] = np.where(monotone, 0.0, slopes[0])
        slopes[-1] = np.where(monotone, 0.0, slopes[-1])
        return slopes


def _key(name: str, slot: int) -> str:
    return f"camera {name}" if slot == 0 and name in ("x", "roll") else name


def _limits() -> tuple[Floats, Floats]:
    low, high = np.zeros((SLOTS, CHANNELS)), np.ones((SLOTS, CHANNELS))
    for slot, fields in enumerate(SLOT_FIELDS):
        start = 0
        for field in fields:
            columns = slice(start, start + field.width)
            legal = (-1.0, 1.0) if field.angle else _RANGES.get(_key(field.name, slot), _UNIT)
            low[slot, columns], high[slot, columns] = legal
            start += field.width
    return low, high


_LOWEST, _HIGHEST = _limits()


def _hermite(values: Floats, slopes: Floats, time: float) -> Floats:
    """The cubic through frames `values` at (i + ½) / LATENT_RATE; linear beyond the ends."""
    place = float(np.clip(time * LATENT_RATE - 0.5, -0.5, len(values) - 0.5))
    last = len(values) - 1
    if place <= 0.0 or last == 0:
        return np.asarray(values[0] + slopes[0] * min(0.0, place))
    if place >= last:
        return np.asarray(values[last] + slopes[last] * (place - last))
    i = int(place)
    u = place - i
    a, b = values[i], values[i + 1]
    return np.asarray(
        a + u * u * (3 - 2 * u) * (b - a) + u * (1 - u) * ((1 - u) * slopes[i] - u * slopes[i + 1])
    )


def _sharpened(weights: Floats) -> Floats:
    """Weights that sum to 1, dominated by the largest."""
    powered = np.maximum(weights, 0.0) ** _SHARPNESS
    total = powered.sum(axis=1, keepdims=True)
    first = np.zeros_like(powered)
    first[:, 0] = 1.0
    return np.where(total > 1e-9, powered / np.maximum(total, 1e-9), first)


def _steadied(part: Floats, tolerance: float, *, rounds: int) -> Floats:
    """Smoothed over time; constant at the mean if it deviates from it by less than `tolerance`."""
    smooth = part
    for _ in range(3):
        smooth = _blurred(smooth)
    if np.abs(smooth - smooth.mean(axis=0)).max() < tolerance:
        return np.broadcast_to(part.mean(axis=0), part.shape)
    for _ in range(rounds):
        part = _blurred(part)
    return part


def _blurred(part: Floats) -> Floats:
    """(1, 2, 1) / 4 over time; the ends keep their slope."""
    if len(part) < 3:
        return part
    padded = np.concatenate([2 * part[:1] - part[1:2], part, 2 * part[-1:] - part[-2:-1]])
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4)


def _smoothstep(u: Floats) -> Floats:
    u = np.clip(u, 0.0, 1.0)
    return np.asarray(u * u * (3 - 2 * u))
