"""How much two takes of the same shot differ, in the scene's parameters and in the picture.

Scenes are compared as the codec draws them (`Timeline.drawn`), characters by cast member. `PARTS` lists what
is compared and the size of a visible difference:

    cast, shape, accessory, set, things   number of differing ones: 1 is visible
    colour       of body and accent, mean absolute difference of linear channels (0–1), the worst character's
    growth       log2 of the size, the worst character's
    tint         OKLab a and b, mean absolute difference; .02 is about a just noticeable difference
    layout       mean absolute difference of numbers within ±1: 5% of their range
    position     feet along the stage and above it, mean absolute difference in half frame widths, the worst
                 character's: 5% of a wide frame's width
    camera       mean absolute difference of position and zoom in latent units; .12 is 1.5% of a wide frame

Pictures are a few small frames, compared channel by channel in sRGB, which is roughly perceptually uniform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from moc_engine.evaluation.measures.reading import (
    CAMERA_TOLERANCE,
    COLOUR_TOLERANCE,
    GROWTH_TOLERANCE,
    Values,
    cast_of,
    look,
    place,
    props,
)
from moc_engine.models.animatic.codec import AnimaticCodec
from moc_engine.models.animatic.scene import SLOT_FIELDS, Scene, Track
from moc_engine.models.animatic.timeline import Timeline

PARTS: Final[Mapping[str, float]] = {
    "cast": 1.0,
    "shape": 1.0,
    "accessory": 1.0,
    "colour": COLOUR_TOLERANCE,
    "growth": GROWTH_TOLERANCE,
    "set": 1.0,
    "tint": 0.02,
    "layout": 0.1,
    "things": 1.0,
    "position": 0.1,
    "camera": CAMERA_TOLERANCE,
}
"""What is compared of two scenes, with the least difference that counts as visible."""

CHANNEL_CHANGE: Final = 0.1
"""Smaller changes of a channel are ignored: a slight shift of the light changes every pixel, invisibly."""

VISIBLE_AREA: Final = 0.01
"""The least changed area of the picture that counts as visible: about the area that changes when a character
loses its accessory, the smallest change that a caption can name. Over the world's own held-out scenes the
median of that area is .015, and three of four are .010 or more."""

SIZE: Final = (160, 90)
BLOCK: Final = 5
"""Pixels are averaged over blocks of this side, so that outlines moved by a pixel do not count."""

INSTANTS: Final = (0.25, 0.75)
"""The frames that are compared, as fractions of the shot."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """The difference between two takes.

    `scene` is the mean absolute difference of the scenes' parameters in latent units, which weigh them by how
    visible they are, over camera, set, and the characters and props of either take. `parts` has those of
    `PARTS`. `pixels` is the mean absolute difference of sRGB channels, 0–1; `area` is the share of the
    picture with a channel that changed by `CHANNEL_CHANGE` or more.
    """

    scene: float
    pixels: float
    area: float
    parts: Mapping[str, float]

    @property
    def seen_in_scene(self) -> bool:
        """Whether any part changed visibly."""
        return any(self.parts[name] >= least for name, least in PARTS.items())

    @property
    def seen_in_pixels(self) -> bool:
        return self.area >= VISIBLE_AREA

    @property
    def visible(self) -> bool:
        """In scene or pixels: an accessory may be few pixels, and poses are not in `PARTS`."""
        return self.seen_in_scene or self.seen_in_pixels


class Comparison:
    """Compares one take with others of the same shot; it is painted once."""

    def __init__(self, take: Scene) -> None:
        self._codec = AnimaticCodec(SIZE, 6.0)
        self._drawn = Timeline(take).drawn()
        self._pictures = self._paint(take)

    def with_take(self, other: Scene) -> Change:
        """The change to another take of the same length."""
        drawn = Timeline(other).drawn()
        difference = np.abs(self._pictures - self._paint(other))
        return Change(
            scene=_numbers(self._drawn, drawn),
            pixels=float(difference.mean()),
            area=float((difference.max(axis=-1) >= CHANNEL_CHANGE).mean()),
            parts=compare(self._drawn, drawn),
        )

    def _paint(self, take: Scene) -> Values:
        """(frames, rows, columns, 3) of blocks, sRGB 0–1."""
        width, height = SIZE
        seconds = Timeline(take).seconds
        pictures = np.stack([self._codec.picture(take, seconds * part) / 255.0 for part in INSTANTS])
        blocks = pictures.reshape(len(INSTANTS), height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3)
        means: Values = blocks.mean(axis=(2, 4))
        return means


def compare(one: Scene, other: Scene) -> dict[str, float]:
    """The differences listed in `PARTS`, of drawn scenes."""
    ones, others = cast_of(one), cast_of(other)
    looks = [(look(ones[cast]), look(others[cast])) for cast in ones.keys() & others.keys()]
    tracks = [(ones[cast], others[cast]) for cast in ones.keys() & others.keys()]
    (kind, tint, layout), (other_kind, other_tint, other_layout) = place(one), place(other)
    gain = {field.name: field.gain for field in one.set.fields}
    held, other_held = (sorted(kind for kind, _ in props(scene)) for scene in (one, other))
    return {
        "cast": float(len(ones.keys() ^ others.keys())),
        "shape": float(sum(a.shape != b.shape for a, b in looks)),
        "accessory": float(sum(a.accessory != b.accessory for a, b in looks)),
        "colour": max(
            (_mean(getattr(a, name), getattr(b, name)) for a, b in looks for name in ("body", "accent")),
            default=0.0,
        ),
        "growth": max((abs(a.growth - b.growth) for a, b in looks), default=0.0),
        "set": float(kind != other_kind),
        "tint": _mean(tint, other_tint) / gain["tint"],
        "layout": _mean(layout, other_layout) / gain["layout"],
        "things": float(_unmatched(held, other_held)),
        "position": max((max(_mean(a[n], b[n]) for n in ("x", "lift")) for a, b in tracks), default=0.0),
        "camera": _camera(one.camera, other.camera),
    }


def _camera(one: Track, other: Track) -> float:
    gains = {field.name: field.gain for field in one.fields}
    return max(_mean(one[name], other[name]) * gains[name] for name in ("x", "y", "zoom"))


def _unmatched(one: list[int], other: list[int]) -> int:
    """The number of entries of either list without a match in the other."""
    kinds = {*one, *other}
    return sum(abs(one.count(kind) - other.count(kind)) for kind in kinds)


def _numbers(one: Scene, other: Scene) -> float:
    """Mean absolute difference in latent units, over everything present in either scene."""
    pairs = [(one.camera, other.camera), (one.set, other.set)]
    ones, others = cast_of(one), cast_of(other)
    absent = Scene.empty(len(one))
    for cast in ones.keys() | others.keys():
        here, there = ones.get(cast), others.get(cast)
        known = here or there
        assert known is not None
        pairs.append((here or absent.track(known.slot), there or absent.track(known.slot)))
    for prop, other_prop in zip(one.props, other.props, strict=True):
        if max(prop["presence"].max(), other_prop["presence"].max()) > 0.5:
            pairs.append((prop, other_prop))
    differences = [_latent_difference(a, b) for a, b in pairs]
    return float(np.concatenate(differences).mean())


def _latent_difference(one: Track, other: Track) -> Values:
    """Of each channel of a slot, averaged over frames."""
    columns = [np.abs(one[f.name].astype(float) - other[f.name]) * f.gain for f in SLOT_FIELDS[one.slot]]
    channels = np.concatenate([column.reshape(len(column), -1) for column in columns], axis=1)
    means: Values = channels.mean(axis=0)
    return means


def _mean(one: ArrayLike, other: ArrayLike) -> float:
    return float(np.abs(np.subtract(one, other, dtype=float)).mean())
