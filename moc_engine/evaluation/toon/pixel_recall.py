"""Reads in pixels whether returning characters have the colour that they were first shown with.

A character's colour is the median in the middle of its box, in OKLab, over the frames of a shot. Of a
returning character whose colour the caption does not tell, it is compared with the colour of each character
seen so far: the nearest one should be its own. Nothing of the model is used but its pictures; the boxes are
those of the drawn story, since captions say what characters do and how near they are.

Shapes: N shots, F frames, Y and X sides in pixels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.colour import lab_from_linear, linear_from_srgb
from moc_engine.training.toon.drawn_stories import DrawnStory, Floats, Pixels

METRICS: Final = ("recall", "recall_after_absence", "chance", "colour_error")
"""Right or wrong for each returning character that no caption tells of, the same for those who were away for
`LONG_ABSENCE` shots or more, the share that guessing would get, and
the distance to its own colour in OKLab."""

MIDDLE: Final = (0.3, 0.26)
"""The half axes of the ellipse that is read, as shares of a box's width and height."""

LONG_ABSENCE: Final = 3
"""Shots after which a return counts as one after a long absence."""


def body_colour(pictures_FYX3: Pixels, boxes_F4: Floats) -> NDArray[np.float64] | None:
    """The colour (3,) in OKLab of what fills the boxes' middle; None where all boxes are empty."""
    colours = []
    for picture, (left, top, right, bottom) in zip(pictures_FYX3, boxes_F4.tolist(), strict=True):
        if right <= left or bottom <= top:
            continue
        height, width = picture.shape[:2]
        y, x = np.mgrid[0:height, 0:width]
        across = (x + 0.5 - (left + right) / 2 * width) / max(1.0, MIDDLE[0] * (right - left) * width)
        down = (y + 0.5 - (top + bottom) / 2 * height) / max(1.0, MIDDLE[1] * (bottom - top) * height)
        inside = picture[across**2 + down**2 <= 1.0]
        if len(inside):
            colours.append(np.median(lab_from_linear(linear_from_srgb(inside / 255.0)), axis=0))
    return np.mean(colours, axis=0) if colours else None


def score(
    drawn: DrawnStory, pictures_NFYX3: Pixels, scores: Scores, *, first_NFYX3: Pixels | None = None
) -> None:
    """Adds to `scores` what the pictures of one story remember.

    Characters are compared with their first appearance in `first_NFYX3`: the pictures themselves where it is
    None, for a film made from captions alone, or the drawn ones, for shots that had drawn ones as context.
    """
    first = pictures_NFYX3 if first_NFYX3 is None else first_NFYX3
    known: dict[int, NDArray[np.float64]] = {}
    for shot, everyone in enumerate(drawn.shown):
        for shown in everyone:
            boxes = drawn.boxes[shot, shown.slot]
            colour = body_colour(pictures_NFYX3[shot], boxes)
            if colour is not None and shown.recalled and shown.cast in known and len(known) > 1:
                distances = {cast: float(np.abs(colour - other).sum()) for cast, other in known.items()}
                nearest = min(distances, key=distances.__getitem__)
                scores.add("recall", nearest == shown.cast, shown.absence)
                scores.add("chance", 1.0 / len(known), shown.absence)
                scores.add("colour_error", distances[shown.cast], shown.absence)
                if shown.absence is not None and shown.absence >= LONG_ABSENCE:
                    scores.add("recall_after_absence", nearest == shown.cast, shown.absence)
            if shown.cast not in known:
                seen = body_colour(first[shot], boxes)
                if seen is not None:
                    known[shown.cast] = seen
