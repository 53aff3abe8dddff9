"""Puts the looks of a drawn shot into words: for the caption of a model that does not know them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from moc_engine.models.animatic.appearance import looks
from moc_engine.models.animatic.colour import lab_from_lch
from moc_engine.models.animatic.scene import ACCESSORIES, SETS, SHAPES, Array, Scene, Track
from moc_engine.models.animatic.script import NAMED

_PRESENT: Final = 0.5
_SHAPES: Final = {
    "triangle": "triangular",
    "star": "star-shaped",
    "drop": "drop-shaped",
    "bean": "bean-shaped",
}
_WORN: Final = {"glasses": "glasses"}  # without an article
_PLACES: Final = {
    "beach": "on a beach",
    "desert": "in a desert",
    "snow": "in snowy mountains",
    "room": "in a room",
    "moon": "on the moon",
    "meadow": "in a meadow",
}


def look_sentences(
    latents_CFS1: Array, cast: Sequence[str], *, told: Collection[str], with_set: bool
) -> tuple[str, ...]:
    """Sentences about what the latents (C, F, SLOTS, 1) of a shot show.

    For each character but those who are `told` its colour, shape and accessory, such as "Mira is a red round
    creature with a hat"; for the set "The scene is in a forest".
    """
    scene = Scene.from_latents(latents_CFS1[..., 0].transpose(1, 2, 0))
    vectors = looks(scene)
    sentences = []
    for track in scene.characters:
        who = int(track["cast"].mean(axis=0).argmax())
        if np.isnan(vectors[track.slot, 0]) or who >= len(cast) or cast[who] in told:
            continue
        sentences.append(f"{cast[who]} is {_look(track)}")
    if with_set:
        place = SETS[int(scene.set["kind"].mean(axis=0).argmax())]
        sentences.append(f"The scene is {_PLACES.get(place, f'in a {place}')}")
    return tuple(sentences)


def _look(track: Track) -> str:
    """ "a red round creature with a hat", as the character looks at the end of the shot."""
    seen = np.flatnonzero(track["presence"] > _PRESENT)
    last = seen[-max(1, len(seen) // 3) :]
    shape = SHAPES[int(track["shape"][last].mean(axis=0).argmax())]
    amounts = track["accessory"][last].mean(axis=0)
    worn = [name for name, amount in zip(ACCESSORIES, amounts, strict=True) if amount > 0.5]
    words = f"a {_colour(track['body'][last].mean(axis=0))} {_SHAPES.get(shape, shape)} creature"
    words = words.replace("a orange", "an orange")
    return f"{words} with {' and '.join(_WORN.get(name, f'a {name}') for name in worn)}" if worn else words


def _colour(body: Array) -> str:
    """The name of the colour that is nearest in OKLab."""
    lab = np.asarray(body, dtype=np.float64) + np.array((0.7, 0.0, 0.0))
    distances = {name: np.linalg.norm(lab_from_lch(lch) - lab) for name, lch in NAMED.items()}
    return min(distances, key=lambda name: distances[name])
