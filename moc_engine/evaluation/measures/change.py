"""How much one take differs from another of the same shot: in the world's own numbers, and in the picture.

Scenes are compared as the codec draws them (`Timeline.drawn`), characters by who they are. `PARTS` says what
is compared, and how much of it is visible:

    cast, shape, accessory, set, things   how many are other ones: 1 is visible
    colour       of body and accent, mean absolute difference of linear channels (0–1), the worst character's
    growth       log2 of the size, the worst character's
    tint         OKLab a and b, mean absolute difference; .02 is about what the eye just tells apart
    layout       mean absolute difference of numbers within ±1: 5% of their range
    position     feet along the stage and above it, mean absolute difference in half frame widths, the worst
                 character's: 5% of a wide frame's width
    camera       mean absolute difference of latents of place and zoom; .12 is 1.5% of a wide frame's width

The picture is a few small frames, compared channel by channel in sRGB, which is near to even steps for the
eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from moc_engine.evaluation.measures.reading import SAME_FILM, Values, cast_of, look, place, things
from moc_engine.evaluation.questions.recall import SAME_COLOUR, SAME_GROWTH
from moc_engine.models.animatic.codec import AnimaticCodec
from moc_engine.models.animatic.scene import SLOT_FIELDS, Scene, Track
from moc_engine.models.animatic.timeline import Timeline

PARTS: Final[Mapping[str, float]] = {
    "cast": 1.0,
    "shape": 1.0,
    "accessory": 1.0,
    "colour": SAME_COLOUR,
    "growth": SAME_GROWTH,
    "set": 1.0,
    "tint": 0.02,
    "layout": 0.1,
    "things": 1.0,
    "position": 0.1,
    "camera": SAME_FILM,
}
"""What is compared of two scenes, and from how much on it counts as visible."""

STEP: Final = 0.1
"""A pixel of which a channel changes by less is as it was: light that shifts a little touches every pixel,
and nobody sees it."""

VISIBLE_AREA: Final = 0.01
"""From what part of the picture on a change counts as visible: about what a character's loss of what it wears
changes, the least thing that the world has a word for. Over the world's own held-out scenes that is .015 in
the median, and .010 or more in three of four."""

SIZE: Final = (160, 90)
BLOCK: Final = 5
"""Pixels are averaged over blocks of this side: an outline that moved by a pixel is no change."""

INSTANTS: Final = (0.25, 0.75)
"""Which frames are compared, in parts of the shot."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """From one take to another.

    `scene` is the mean absolute difference of the scenes' numbers as latents, which weigh them by how much
    they show, over camera, set, and the characters and things that either shows; `parts` are those of
    `PARTS`. `pixels` is the mean absolute difference of sRGB channels, 0–1, `area` the part of the picture
    with a channel that changed by `STEP` or more.
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
        """In either: an accessory may be few pixels, and a pose is no part."""
        return self.seen_in_scene or self.seen_in_pixels


class Comparison:
    """Compares takes with one of their shot, which is cleaned and painted once."""

    def __init__(self, take: Scene) -> None:
        self._codec = AnimaticCodec(SIZE, 6.0)
        self._drawn = Timeline(take).drawn()
        self._pictures = self._paint(take)

    def with_take(self, other: Scene) -> Change:
        """The change to another take, as long as this one."""
        drawn = Timeline(other).drawn()
        difference = np.abs(self._pictures - self._paint(other))
        return Change(
            scene=_numbers(self._drawn, drawn),
            pixels=float(difference.mean()),
            area=float((difference.max(axis=-1) >= STEP).mean()),
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
    """The parts of `PARTS`, of scenes as they are drawn."""
    ones, others = cast_of(one), cast_of(other)
    looks = [(look(ones[cast]), look(others[cast])) for cast in ones.keys() & others.keys()]
    tracks = [(ones[cast], others[cast]) for cast in ones.keys() & others.keys()]
    (kind, tint, layout), (other_kind, other_tint, other_layout) = place(one), place(other)
    gain = {field.name: field.gain for field in one.set.fields}
    held, other_held = (sorted(kind for kind, _ in things(scene)) for scene in (one, other))
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
    """How many of either list the other does not hold."""
    kinds = {*one, *other}
    return sum(abs(one.count(kind) - other.count(kind)) for kind in kinds)


def _numbers(one: Scene, other: Scene) -> float:
    """Mean absolute difference as latents, of all that is there in either."""
    pairs = [(one.camera, other.camera), (one.set, other.set)]
    ones, others = cast_of(one), cast_of(other)
    nobody = Scene.empty(len(one))
    for cast in ones.keys() | others.keys():
        here, there = ones.get(cast), others.get(cast)
        known = here or there
        assert known is not None
        pairs.append((here or nobody.track(known.slot), there or nobody.track(known.slot)))
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
