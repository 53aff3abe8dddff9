"""Appearance vectors of a shot's characters, props and set, whose Euclidean distance measures similarity.

A distance of 1 is another shape or kind, .7 one accessory more or less, `VISIBLE` a clearly visible
difference of colour, tint or layout.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.scene import SLOTS, Array, Scene, Track

Floats = NDArray[np.float64]

VISIBLE: Final = 0.4
"""The distance from which a difference is visible, such as .08 in OKLab over a whole body, .05 in a set's
tint or .27 in each number of its layout.
"""

WIDTH: Final = 18

_KIND_WEIGHT: Final = float(np.sqrt(0.5))  # two different one-hot vectors have a distance of 1
_ACCESSORY_WEIGHT: Final = 0.7
_COLOUR_WEIGHT: Final = 5.0
_TINT_WEIGHT: Final = 8.0
_LAYOUT_WEIGHT: Final = 0.6
_PRESENT: Final = 0.5  # presence above which a slot counts as shown


def looks(scene: Scene) -> Floats:
    """The appearance vectors (SLOTS, WIDTH) of the slots at the end of the shot; NaN for a slot without one.

    Only slots of the same kind can be compared: characters, props or sets.
    """
    found = np.full((SLOTS, WIDTH), np.nan)
    for track in scene.characters:
        if track["presence"].max() > _PRESENT:
            seen = _final_frames(track["presence"] > _PRESENT)
            accessories = _ACCESSORY_WEIGHT * _mean(track, "accessory", seen).clip(0.0, 1.0).round()
            colours = _COLOUR_WEIGHT * np.concatenate(
                [_mean(track, name, seen) for name in ("body", "accent")]
            )
            found[track.slot] = _padded(_one_hot(track, "shape", seen), accessories, colours)
    for track in scene.props:
        if track["presence"].max() > _PRESENT:
            seen = _final_frames(track["presence"] > _PRESENT)
            found[track.slot] = _padded(
                _one_hot(track, "kind", seen), _COLOUR_WEIGHT * _mean(track, "colour", seen)
            )
    always = np.ones(len(scene), dtype=bool)
    found[scene.set.slot] = _padded(
        _one_hot(scene.set, "kind", always),
        _TINT_WEIGHT * _mean(scene.set, "tint", always),
        _LAYOUT_WEIGHT * _mean(scene.set, "layout", always),
    )
    return found


def _final_frames(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The last third of the frames with the slot present, when events of the shot are over."""
    frames = np.flatnonzero(seen)
    kept = np.zeros_like(seen)
    kept[frames[-max(1, len(frames) // 3) :]] = True
    return kept


def _mean(track: Track, field: str, seen: NDArray[np.bool_]) -> Floats:
    values: Array = track[field]
    return np.asarray(values[seen].mean(axis=0), dtype=np.float64)


def _one_hot(track: Track, field: str, seen: NDArray[np.bool_]) -> Floats:
    """The one-hot vector of the largest weight, which is the kind that is drawn."""
    weights = _mean(track, field, seen)
    return np.asarray(_KIND_WEIGHT * np.eye(len(weights))[int(weights.argmax())])


def _padded(*parts: Floats) -> Floats:
    joined = np.concatenate(parts)
    return np.pad(joined, (0, WIDTH - len(joined)))
