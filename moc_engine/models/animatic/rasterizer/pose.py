"""Poses: the fields of a character or a prop at one instant.

Field names are those of `moc_engine.models.animatic.scene`. Colours are OKLab, angles are normalised, and
values that a model predicted out of range are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, hypot
from typing import Any, Final

import numpy as np

from moc_engine.models.animatic.scene import (
    ACCESSORIES,
    BODY_HEIGHT,
    CHARACTER_FIELDS,
    PROP_FIELDS,
    PROPS,
    SHAPES,
    Array,
    Field,
)

Vector = tuple[float, ...]
Pair = tuple[float, float]
Triple = tuple[float, float, float]

REST_NEAR: Final = (0.55, -0.22)
REST_FAR: Final = (-0.55, -0.22)
"""The position of idle hands: forward and up from the body's centre, in H. Gaits swing them around it."""

LAG: Final = 0.1
"""Seconds by which scarves, hats and tassels trail the body."""


@dataclass(frozen=True, kw_only=True)
class CharacterPose:
    """A character at one instant; `from_slot` reads it from a scene.

    `drift` is the body's velocity `LAG` seconds ago, in H per second to the right and up, which moves loose
    parts. `time` in seconds drives idle animation (blinking, the Zzz, a scarf in the wind); an offset per
    character keeps them from blinking at the same time.
    """

    presence: float = 1.0
    shape: Vector = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    accessory: Vector = (0.0, 0.0, 0.0, 0.0, 0.0)
    body: Triple = (0.64, 0.17, 0.08)
    accent: Triple = (0.85, -0.09, 0.02)
    growth: float = 0.0
    x: float = 0.0
    depth: float = 0.0
    lift: float = 0.0
    yaw: Pair = (1.0, 0.0)
    roll: Pair = (1.0, 0.0)
    squash: float = 0.0
    phase: Pair = (1.0, 0.0)
    walk: float = 0.0
    run: float = 0.0
    near_hand: Pair = REST_NEAR
    far_hand: Pair = REST_FAR
    sit: float = 0.0
    tuck: float = 0.0
    eye: float = 1.0
    lid: float = 0.0
    lid_tilt: float = 0.0
    brow: float = 0.0
    brow_lift: float = 0.0
    mouth_curve: float = 0.45
    mouth_open: float = 0.0
    mouth_width: float = 0.22
    teeth: float = 0.0
    pupil: float = 1.0
    tear: float = 0.0
    gaze: float = 0.15
    doze: float = 0.0
    drift: Pair = (0.0, 0.0)
    spin: float = 0.0
    time: float = 0.0

    @classmethod
    def from_slot(
        cls, values: Array, *, before: Array | None = None, lag: float = LAG, time: float = 0.0
    ) -> CharacterPose:
        """Reads a character slot's vector (CHANNELS,); `before` is the same slot `lag` seconds earlier."""
        named = _fields_by_name(values, CHARACTER_FIELDS)
        drift, spin = (0.0, 0.0), 0.0
        if before is not None:
            past = _fields_by_name(before, CHARACTER_FIELDS)
            drift = (
                (named["x"] - past["x"]) / (BODY_HEIGHT * lag),
                (named["lift"] - past["lift"]) / lag,
            )
            (cos_now, sin_now), (cos_then, sin_then) = named["yaw"], past["yaw"]
            spin = (
                atan2(sin_now * cos_then - cos_now * sin_then, cos_now * cos_then + sin_now * sin_then) / lag
            )
        del named["cast"]
        for name in _AMOUNTS:
            named[name] = _amount(named[name])
        for name, (least, most) in _RANGES.items():
            named[name] = min(most, max(least, named[name]))
        named["presence"] = _contrasted(named["presence"])
        named["shape"] = tuple(max(0.0, w) for w in named["shape"])
        named["accessory"] = tuple(_contrasted(a) for a in named["accessory"])
        return cls(drift=drift, spin=spin, time=time, **named)

    def wears(self, accessory: str) -> float:
        """The amount 0–1 of an accessory in `ACCESSORIES`."""
        return self.accessory[ACCESSORIES.index(accessory)]

    @property
    def weights(self) -> Vector:
        """The weights of `SHAPES`, sharpened so that one shape dominates; they sum to 1."""
        cubes = [w * w * w for w in self.shape]
        total = sum(cubes)
        if total <= 0.0:
            return (1.0,) + (0.0,) * (len(SHAPES) - 1)
        return tuple(c / total for c in cubes)


@dataclass(frozen=True, kw_only=True)
class PropPose:
    """A prop at one instant; `from_slot` reads it from a scene."""

    presence: float = 1.0
    kind: Vector = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    colour: Triple = (0.62, 0.17, 0.08)
    x: float = 0.0
    depth: float = 0.0
    lift: float = 0.0
    roll: Pair = (1.0, 0.0)
    size: float = 1.0
    held: Triple = (0.0, 0.0, 0.0)
    time: float = 0.0

    @classmethod
    def from_slot(cls, values: Array, *, time: float = 0.0) -> PropPose:
        """Reads a prop slot's vector (CHANNELS,)."""
        named = _fields_by_name(values, PROP_FIELDS)
        named["presence"] = _contrasted(named["presence"])
        named["size"] = min(4.0, max(0.1, named["size"]))
        named["kind"] = tuple(max(0.0, w) for w in named["kind"])
        named["held"] = tuple(_amount(h) for h in named["held"])
        return cls(time=time, **named)

    @property
    def name(self) -> str:
        """The kind with the largest weight."""
        return PROPS[max(range(len(PROPS)), key=self.kind.__getitem__)]


@dataclass(frozen=True, kw_only=True)
class Grip:
    """The near hand that holds a prop, in pixels, and the measures of its holder.

    `height` is the holder's H in pixels. `clearance` is the height of the head or hat above the hand in H;
    `inward` the distance from the hand to the body's middle, in H to the screen's right; `facing` within ±1
    the direction in which the holder looks.
    """

    x: float
    y: float
    height: float
    clearance: float
    inward: float
    facing: float


def _fields_by_name(values: Array, fields: Sequence[Field]) -> dict[str, Any]:
    """The fields of a slot's vector by name, with normalised angles and OKLab colours."""
    flat: list[float] = np.asarray(values, dtype=np.float64).tolist()
    named: dict[str, Any] = {}
    at = 0
    for field in fields:
        part = flat[at : at + field.width]
        at += field.width
        if field.angle:
            named[field.name] = _unit(part)
        elif field.name in _COLOURS:
            named[field.name] = (min(1.0, max(0.05, part[0] + 0.7)), part[1], part[2])
        else:
            named[field.name] = part[0] if field.width == 1 else tuple(part)
    return named


_AMOUNTS: Final = ("walk", "run", "sit", "tuck", "lid", "mouth_open", "teeth", "tear", "doze")
_RANGES: Final = {
    "growth": (-1.5, 1.5),
    "squash": (-0.4, 0.5),
    "lid_tilt": (-0.7, 0.7),
    "brow": (-0.8, 0.8),
    "brow_lift": (-0.08, 0.15),
    "eye": (0.0, 1.45),
    "mouth_curve": (-1.0, 1.0),
    "mouth_width": (0.08, 0.42),
    "pupil": (0.3, 1.4),
    "gaze": (-1.0, 1.0),
}
_COLOURS: Final = frozenset({"body", "accent", "colour"})


def _unit(pair: Sequence[float]) -> Pair:
    length = hypot(*pair)
    return (pair[0] / length, pair[1] / length) if length > 1e-6 else (1.0, 0.0)


def _amount(value: float) -> float:
    """An amount clipped to 0–1, and 0 for values that are too small to see."""
    return 0.0 if value < 0.02 else min(1.0, value)


def _contrasted(value: float) -> float:
    """An amount with increased contrast: values near 1 become 1 and values near 0 become 0."""
    return _amount((value - 0.1) / 0.8)
