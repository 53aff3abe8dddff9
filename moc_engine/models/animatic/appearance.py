"""What a finished shot's characters, props and set look like: vectors whose distance says how alike two are.

Euclidean distances: 1 is another shape or kind, .7 an accessory more or less, `VISIBLE` a difference of
colour, tint or layout that one sees at a glance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.scene import SLOTS, Array, Scene, Track

Floats = NDArray[np.float64]

VISIBLE: Final = 0.4
"""Such as .08 in OKLab for all of a body, .05 of a set's tint, .27 of each number of its layout."""

WIDTH: Final = 18

_KIND: Final = float(np.sqrt(0.5))  # two different ones of a kind are 1 apart
_ACCESSORY: Final = 0.7
_COLOUR: Final = 5.0
_TINT: Final = 8.0
_LAYOUT: Final = 0.6
_THERE: Final = 0.5  # presence


def looks(scene: Scene) -> Floats:
    """(SLOTS, WIDTH): the look of each slot as the shot leaves it; NaN where it shows nothing that has one.

    Only slots of like kind can be compared: characters, props, sets.
    """
    found = np.full((SLOTS, WIDTH), np.nan)
    for track in scene.characters:
        if track["presence"].max() > _THERE:
            seen = _last(track["presence"] > _THERE)
            accessories = _ACCESSORY * _mean(track, "accessory", seen).clip(0.0, 1.0).round()
            colours = _COLOUR * np.concatenate([_mean(track, name, seen) for name in ("body", "accent")])
            found[track.slot] = _padded(_kind(track, "shape", seen), accessories, colours)
    for track in scene.props:
        if track["presence"].max() > _THERE:
            seen = _last(track["presence"] > _THERE)
            found[track.slot] = _padded(_kind(track, "kind", seen), _COLOUR * _mean(track, "colour", seen))
    always = np.ones(len(scene), dtype=bool)
    found[scene.set.slot] = _padded(
        _kind(scene.set, "kind", always),
        _TINT * _mean(scene.set, "tint", always),
        _LAYOUT * _mean(scene.set, "layout", always),
    )
    return found


def _last(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The last third of the frames that show it: a change in the shot is over by then."""
    frames = np.flatnonzero(seen)
    kept = np.zeros_like(seen)
    kept[frames[-max(1, len(frames) // 3) :]] = True
    return kept


def _mean(track: Track, field: str, seen: NDArray[np.bool_]) -> Floats:
    values: Array = track[field]
    return np.asarray(values[seen].mean(axis=0), dtype=np.float64)


def _kind(track: Track, field: str, seen: NDArray[np.bool_]) -> Floats:
    """One of a kind, as it is drawn: the strongest."""
    weights = _mean(track, field, seen)
    return np.asarray(_KIND * np.eye(len(weights))[int(weights.argmax())])


def _padded(*parts: Floats) -> Floats:
    joined = np.concatenate(parts)
    return np.pad(joined, (0, WIDTH - len(joined)))
