"""Cross-check in pixels: is a remembered shape and colour painted as it was read from the scene?

Of each story the last character that captions leave undescribed is painted alone. Its shape is the one of the
six whose painting is nearest to the picture; its colour error is taken over the pixels that change with its
body colour. Neither relies on how characters are drawn.

`METRICS`: shape_in_pixels (1 or 0), colour_error_in_pixels (mean absolute difference of linear channels), and
painted_as_read: whether the picture's shape is the one read from the scene of the same take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.evaluation.measures.reading import GREY, Values, cast_of, look
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.codec import AnimaticCodec
from moc_engine.models.animatic.colour import lab_from_linear, linear_from_srgb
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, PROP_SLOTS, SHAPES, Scene, Track
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story

METRICS: Final = ("shape_in_pixels", "colour_error_in_pixels", "painted_as_read")
SIZE: Final = (256, 144)
MARKERS: Final = ((0.2, 0.0, 0.0), (-0.4, 0.0, 0.0))
"""Two very different body colours, to find the pixels of a body; OKLab (L - .7, a, b)."""

Change = Callable[[Track], None]


def score(story: Story, takes: Sequence[Scene], scores: Scores) -> None:
    """Adds to `scores` what the pictures of one story show of its memory."""
    chosen = _last_remembered(story)
    if chosen is None:
        return
    shaped, coloured, last, cast = chosen
    distance = last - max(shaped, coloured)
    shape, colour, shown = (
        cast_of(Timeline(takes[index]).drawn()).get(cast) for index in (shaped, coloured, last)
    )
    if shape is None or colour is None or shown is None:
        scores.add("shape_in_pixels", False, distance)
        return
    painter = _Painter(takes[last], shown.slot)
    painted = _shape(painter)
    scores.add("shape_in_pixels", painted == look(shape).shape, distance)
    scores.add("painted_as_read", painted == look(shown).shape, distance)
    error = _colour_error(painter, look(colour).body)
    if error is not None:
        scores.add("colour_error_in_pixels", error, distance)


def _last_remembered(story: Story) -> tuple[int, int, int, int] | None:
    """The shots that settle a shape and a body colour, the last shot that must remember both, and whose.

    None if no shot has anything to remember.
    """
    decided: dict[tuple[int, str], int] = {}
    chosen = None
    for index, shot in enumerate(story.shots):
        for recall in shot.recalls:
            if not recall.changed and {"shape", "body"} <= set(recall.parts):
                cast = recall.cast
                chosen = (decided[cast, "shape"], decided[cast, "body"], index, cast)
        for actor in shot.script.actors:
            for part in ("shape", "body"):
                if part in shot.described.get(actor.cast, ()):
                    decided[actor.cast, part] = index
                decided.setdefault((actor.cast, part), index)
    return chosen


class _Painter:
    """Paints the middle frame of a take with only one of its characters, unchanged or changed."""

    def __init__(self, take: Scene, own_slot: int) -> None:
        self._values = take.values.copy()
        self._slot = own_slot
        alone = Scene(self._values)
        for slot in (*CHARACTER_SLOTS, *PROP_SLOTS):
            if slot != own_slot:
                alone.track(slot)["presence"] = 0.0
        self._codec = AnimaticCodec(SIZE, 6.0)

    def paint(self, change: Change = lambda track: None) -> Values:
        """(h, w, 3), linear."""
        scene = Scene(self._values.copy())
        change(scene.track(self._slot))
        picture = self._codec.picture(scene, len(scene) / 12.0)
        return linear_from_srgb(picture / 255.0)


def _shape(painter: _Painter) -> int:
    shown = painter.paint()
    return int(np.argmin([np.abs(shown - painter.paint(_shaped(i))).sum() for i in range(len(SHAPES))]))


def _shaped(shape: int) -> Change:
    def change(track: Track) -> None:
        track["shape"] = np.eye(len(SHAPES))[shape]

    return change


def _colour_error(painter: _Painter, known: Values) -> float | None:
    """None if no pixel of the body is visible."""
    light, dark = (painter.paint(_coloured(marker)) for marker in MARKERS)
    body: NDArray[np.bool_] = np.abs(light - dark).mean(axis=2) > 0.1
    if not body.any():
        return None
    expected = painter.paint(_coloured(tuple(lab_from_linear(known) - GREY)))
    return float(np.abs(painter.paint() - expected)[body].mean())


def _coloured(colour: tuple[float, ...]) -> Change:
    def change(track: Track) -> None:
        track["body"] = colour

    return change
