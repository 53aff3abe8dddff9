from __future__ import annotations

import numpy as np
import pytest

from moc_engine.models.animatic.colour import lab_from_lch
from moc_engine.models.animatic.scene import SETS, SHAPES, Scene
from moc_engine.models.animatic.script import NAMED
from moc_engine.models.animatic.words import describe
from moc_engine.vocabulary import describe as describe_embedded

CAST = ("Mira", "Otto")


def drawn() -> np.ndarray:
    """Latents (C, F, SLOTS, 1) of a shot in the forest: Otto is orange and round, with a hat and glasses."""
    scene = Scene.empty(3)
    scene.set["kind"] = np.eye(len(SETS))[SETS.index("forest")]
    otto = scene.characters[1]
    otto["presence"] = 1.0
    otto["cast"] = np.eye(8)[1]
    otto["shape"] = np.eye(len(SHAPES))[SHAPES.index("round")]
    otto["accessory"] = (1, 1, 0, 0, 0)
    otto["body"] = lab_from_lch(NAMED["orange"]) - (0.7, 0.0, 0.0) + 0.01
    return np.ascontiguousarray(scene.to_latents().transpose(2, 0, 1)[..., None])


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        (
            "Otto runs",
            ("Otto is an orange round creature with a hat and glasses", "The scene is in a forest"),
        ),
        ("Otto runs in the forest", ("Otto is an orange round creature with a hat and glasses",)),
        ("A blue Otto runs", ("The scene is in a forest",)),
    ],
)
def test_looks_that_the_caption_does_not_tell_are_described(caption: str, told: tuple[str, ...]) -> None:
    assert describe(drawn(), caption, CAST) == told
    assert describe_embedded(drawn(), caption, CAST) == told


def test_who_is_not_in_the_cast_is_not_named() -> None:
    assert describe(drawn(), "Someone runs in the forest", CAST[:1]) == ()
