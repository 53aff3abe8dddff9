"""The scene of an animatic shot: eight slots, each with a vector per latent frame.

A `Scene` holds natural units. `Scene.to_latents` and `Scene.from_latents` multiply and divide by a
power of two per channel, so the round trip is exact. Units: lengths along the stage are in half
frame widths of the wide shot (x = -1 and +1 are the frame's edges at zoom 1), body measures are in
H (one body height, `BODY_HEIGHT` stage units), angles are stored as (cosine, sine).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LATENT_RATE: Final = 6
"""The number of latent frames per second."""

PATCH_FRAMES: Final = 3
"""The number of latent frames per token; a scene's length is a multiple of it."""

BODY_HEIGHT: Final = 0.25
"""The body height H in stage units: 160 of 720 pixels in a wide 16:9 shot."""

WALK_CYCLE: Final = 0.9
"""The distance in H per walk cycle (two steps) at which feet do not slide."""

RUN_CYCLE: Final = 1.7
"""The distance in H per run cycle (two steps) at which feet do not slide."""

CAST_SIZE: Final = 8
SHAPES: Final = ("round", "square", "triangle", "star", "drop", "bean")
ACCESSORIES: Final = ("hat", "glasses", "scarf", "crown", "backpack")
SETS: Final = ("beach", "forest", "city", "desert", "snow", "room", "moon", "meadow")
PROPS: Final = ("ball", "balloon", "kite", "umbrella", "flower", "gift")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A named field of a slot: `width` channels, stored as value × `gain` (a power of two)."""

    name: str
    width: int = 1
    gain: float = 1.0
    angle: bool = False  # a (cosine, sine) pair


def _angle(name: str) -> Field:
    return Field(name=name, width=2, angle=True)


CAMERA_FIELDS: Final = (
    Field(name="x", gain=4.0),  # position of the frame's centre, in stage units, within ±2
    Field(name="y", gain=4.0),  # raised above the resting height, in stage units
    Field(name="zoom", gain=2.0),  # log2 of the magnification: 0 wide, .81 medium, 1.49 close-up
    Field(name="roll", gain=16.0),  # radians, at most ±.06
    Field(name="shake", gain=2.0),  # amount 0–1
    Field(name="sunset", gain=2.0),  # amounts 0–1; the amount of day is 1 - sunset - night
    Field(name="night", gain=2.0),
    Field(name="rain", gain=2.0),
    Field(name="snow", gain=2.0),
    Field(name="fog", gain=2.0),
    Field(name="wind", gain=2.0),
)

SET_FIELDS: Final = (
    Field(name="kind", width=len(SETS), gain=2.0),  # weights 0–1 over SETS
    Field(name="tint", width=2, gain=8.0),  # OKLab a, b, each within ±.1: hidden per story
    Field(name="layout", width=6),  # six numbers within ±1: hidden per story
)

CHARACTER_FIELDS: Final = (
    Field(name="presence", gain=2.0),  # amount 0–1
    Field(name="cast", width=CAST_SIZE, gain=2.0),  # which cast member this is: weights 0–1
    Field(name="shape", width=len(SHAPES), gain=2.0),  # weights 0–1 over SHAPES
    Field(name="accessory", width=len(ACCESSORIES), gain=2.0),  # amount 0–1 of each, all 0 for none
    Field(name="body", width=3, gain=4.0),  # OKLab (L - .7, a, b)
    Field(name="accent", width=3, gain=4.0),  # OKLab (L - .7, a, b)
    Field(name="growth", gain=2.0),  # log2 of the body's scale: 0, .5 once grown up
    Field(name="x", gain=2.0),  # feet, stage units
    Field(name="depth"),  # -1 back of the stage .. +1 front
    Field(name="lift", gain=2.0),  # feet above the ground, in H
    _angle("yaw"),  # (1, 0) faces right, (0, 1) the viewer, (-1, 0) left, (0, -1) shows the back
    _angle("roll"),  # lean of the body about the feet; a positive sine leans to the screen's right
    Field(name="squash", gain=4.0),  # q: sy = 1 - q, sx = 1 + .8 q
    _angle("phase"),  # of the gait, 2π per two steps
    Field(name="walk"),  # amounts 0–1 of the gait: legs, arm swing and the body's own bob, squash
    Field(name="run"),  # and rocking, all drawn from the phase; `roll` holds the steady lean alone
    Field(name="near_hand", width=2, gain=2.0),  # forward, up from the body's centre, in H
    Field(name="far_hand", width=2, gain=2.0),
    Field(name="sit"),  # amount 0–1: body on the ground, legs stretched forward
    Field(name="tuck"),  # amount 0–1: legs bent under an airborne body
    Field(name="eye"),  # how far the eyes are open: 0 shut arcs, 1 usual, 1.28 surprised
    Field(name="lid"),  # how far the upper lid hangs into the eye, 0–1
    Field(name="lid_tilt", gain=2.0),  # radians; positive slants down to the nose (anger)
    Field(name="brow", gain=2.0),  # radians; positive slants down to the nose (anger)
    Field(name="brow_lift", gain=8.0),  # in H above the usual place
    Field(name="mouth_curve"),  # -1 frown .. +1 smile
    Field(name="mouth_open"),  # 0–1
    Field(name="mouth_width", gain=2.0),  # in H: .34 laughing, .12 a small o
    Field(name="teeth"),  # 0 plain, 1 bared
    Field(name="pupil"),  # scale: 1 usual, .62 surprised
    Field(name="tear"),  # amount 0–1
    Field(name="gaze"),  # -1 to the body's back .. +1 to its front
    Field(name="doze"),  # amount 0–1 of the Zzz
)

PROP_FIELDS: Final = (
    Field(name="presence", gain=2.0),
    Field(name="kind", width=len(PROPS), gain=2.0),  # weights 0–1 over PROPS
    Field(name="colour", width=3, gain=4.0),  # OKLab (L - .7, a, b)
    Field(name="x", gain=2.0),  # foot or centre of mass, stage units; a held kite's own place in the sky
    Field(name="depth"),
    Field(name="lift"),  # above the ground, in H
    _angle("roll"),
    Field(name="size"),  # scale: 1 usual
    Field(name="held", width=3, gain=2.0),  # amount 0–1: in the near hand of character slot 0, 1, 2;
    # a kite stays where x and lift say, and its string runs to that hand
)

CAMERA_SLOT: Final = 0
SET_SLOT: Final = 1
CHARACTER_SLOTS: Final = (2, 3, 4)
PROP_SLOTS: Final = (5, 6, 7)
SLOT_FIELDS: Final[tuple[tuple[Field, ...], ...]] = (
    CAMERA_FIELDS,
    SET_FIELDS,
    *(CHARACTER_FIELDS for _ in CHARACTER_SLOTS),
    *(PROP_FIELDS for _ in PROP_SLOTS),
)
SLOTS: Final = len(SLOT_FIELDS)
SLOT_NAMES: Final = (
    "camera",
    "set",
    *(f"character {i + 1}" for i in range(len(CHARACTER_SLOTS))),
    *(f"prop {i + 1}" for i in range(len(PROP_SLOTS))),
)
CHANNELS: Final = max(sum(f.width for f in fields) for fields in SLOT_FIELDS)


def _slices(fields: Sequence[Field]) -> dict[str, slice]:
    ends = np.cumsum([f.width for f in fields])
    return {f.name: slice(int(e) - f.width, int(e)) for f, e in zip(fields, ends, strict=True)}


_SLOT_SLICES: Final = tuple(_slices(fields) for fields in SLOT_FIELDS)


def _gains() -> Array:
    gains = np.ones((SLOTS, CHANNELS), dtype=np.float32)
    for slot, fields in enumerate(SLOT_FIELDS):
        for f in fields:
            gains[slot, _SLOT_SLICES[slot][f.name]] = f.gain
    return gains


GAINS: Final = _gains()
"""The gains (SLOTS, CHANNELS): latent = value × gain."""


class Track:
    """A slot of a scene over all frames: `track["x"]` is a view of a field, (F,) or (F, width)."""

    def __init__(self, values: Array, slot: int) -> None:
        self._values = values
        self._slices = _SLOT_SLICES[slot]
        self.slot = slot

    def __getitem__(self, name: str) -> Array:
        part: Array = self._values[:, self._slices[name]]
        return part[:, 0] if part.shape[1] == 1 else part

    def __setitem__(self, name: str, value: object) -> None:
        self[name][...] = value  # type: ignore[call-overload]

    @property
    def fields(self) -> tuple[Field, ...]:
        return SLOT_FIELDS[self.slot]


class Scene:
    """The slots of a shot over its latent frames in natural units; `values` is (F, SLOTS, CHANNELS)."""

    def __init__(self, values: Array) -> None:
        if values.ndim != 3 or values.shape[1:] != (SLOTS, CHANNELS):
            raise ValueError(f"values: expected (F, {SLOTS}, {CHANNELS}), got {values.shape}")
        self.values = values

    @classmethod
    def empty(cls, frames: int) -> Scene:
        return cls(np.zeros((frames, SLOTS, CHANNELS), dtype=np.float32))

    @classmethod
    def from_latents(cls, latents: Array) -> Scene:
        return cls(np.asarray(latents, dtype=np.float32) / GAINS)

    def to_latents(self) -> Array:
        return self.values * GAINS

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def track(self, slot: int) -> Track:
        return Track(self.values[:, slot], slot)

    @property
    def camera(self) -> Track:
        return self.track(CAMERA_SLOT)

    @property
    def set(self) -> Track:
        return self.track(SET_SLOT)

    @property
    def characters(self) -> tuple[Track, ...]:
        return tuple(self.track(slot) for slot in CHARACTER_SLOTS)

    @property
    def props(self) -> tuple[Track, ...]:
        return tuple(self.track(slot) for slot in PROP_SLOTS)


def frame_times(frames: int) -> NDArray[np.float64]:
    """The times of latent frames in seconds: the middle of each frame's duration."""
    return (np.arange(frames) + 0.5) / LATENT_RATE


def frames_for(seconds: float) -> int:
    """The number of latent frames of a shot of `seconds`, rounded up to whole tokens."""
    tokens = int(np.ceil(seconds * LATENT_RATE / PATCH_FRAMES - 1e-6))
    return max(1, tokens) * PATCH_FRAMES
