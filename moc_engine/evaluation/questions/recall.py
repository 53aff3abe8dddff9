"""Does the film remember? What captions leave undescribed must look as in the earlier takes.

The expected look of a character is that of the first take that shows it, or what a caption has said since: a
description, or an event that changes the look for good. A take that lacks a character named in its caption
scores shape, accessory and state as wrong; so does the next take in each part that only such a take could
have shown. A set that returns must have the tint and the layout of the first take that shows it.

`METRICS`: shape, accessory and latest_state are 1 or 0; colour_error is the mean absolute difference of
linear channels (0–1); tint and layout are mean absolute differences in latent units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import numpy as np

from moc_engine.evaluation.measures.reading import (
    COLOUR_TOLERANCE,
    GROWTH_TOLERANCE,
    ObservedLook,
    Values,
    cast_of,
    look,
    place,
)
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.script import Event
from moc_engine.models.animatic.world import Recall, Story, StoryShot

METRICS: Final = ("shape", "accessory", "colour_error", "latest_state", "layout", "tint")
CHANCE: Final = 1 / 6
"""The score of uniform guessing of shape and accessory: six shapes, and five accessories or none."""
LOOK_PARTS: Final = tuple(part.name for part in fields(ObservedLook))

ExpectedLook = Mapping[str, Any]
"""The parts of `ObservedLook` that earlier takes have settled for a character."""


def score(story: Story, takes: Sequence[Scene], scores: Scores) -> None:
    """Adds what the takes of one story remember to `scores`."""
    sets = _Sets(scores)
    expected: dict[int, ExpectedLook] = {}
    changed: set[int] = set()
    for shot, take in zip(story.shots, takes, strict=True):
        sets.score(shot, take)
        present = {cast: look(track) for cast, track in cast_of(take).items()}
        recalls = {recall.cast: recall for recall in shot.recalls}
        for actor in shot.script.actors:
            seen, before = present.get(actor.cast), expected.get(actor.cast)
            told = shot.described.get(actor.cast, ())
            if actor.cast in recalls:
                _compare(before or {}, seen, recalls[actor.cast], scores, changed=actor.cast in changed)
            if before is not None and (told or actor.event is not None):
                changed.add(actor.cast)
            expected[actor.cast] = _updated(before or {}, seen, told, actor.event)


class _Sets:
    """The first take of each set of a story."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        self._first: dict[int, tuple[Values, Values]] = {}

    def score(self, shot: StoryShot, take: Scene) -> None:
        """Compares a returning set with the first take that shows it, if any does."""
        kind, tint, layout = place(take)
        known = self._first.get(shot.script.place.kind)
        if known is not None:
            self._scores.add("tint", _distance(tint, known[0]), shot.place_absence)
            self._scores.add("layout", _distance(layout, known[1]), shot.place_absence)
        elif kind == shot.script.place.kind:
            self._first[kind] = tint, layout


def _compare(
    expected: ExpectedLook, seen: ObservedLook | None, recall: Recall, scores: Scores, *, changed: bool
) -> None:
    """Scores the parts that memory must supply; without anything to compare they are wrong, but for
    colours."""
    parts, absence = recall.parts, recall.absence
    right = {
        part: seen is not None and part in expected and _same(part, expected[part], seen)
        for part in LOOK_PARTS
    }
    for part in ("body", "accent"):
        if part in parts and part in expected and seen is not None:
            scores.add("colour_error", _distance(getattr(seen, part), expected[part]), absence)
    for part in ("shape", "accessory"):
        if part in parts:
            scores.add(part, right[part], absence)
    if changed and {"body", "accessory"} <= set(parts):
        scores.add("latest_state", right["accessory"] and right["body"] and right["growth"], absence)


def _same(part: str, expected: Any, seen: ObservedLook) -> bool:
    shown = getattr(seen, part)
    match part:
        case "shape" | "accessory":
            return bool(shown == expected)
        case "growth":
            return bool(abs(shown - expected) < GROWTH_TOLERANCE)
        case _:
            return _distance(shown, expected) < COLOUR_TOLERANCE


def _updated(
    before: ExpectedLook, seen: ObservedLook | None, told: Sequence[str], event: Event | None
) -> ExpectedLook:
    """The expected look of a character after a take whose caption names it.

    A part that the caption describes anew is no longer as before, even if the take fails to show it.
    """
    described = {*told, *(() if event is None else (event.part,))}
    expected = {part: value for part, value in before.items() if part not in described}
    if seen is not None:
        expected = {part: getattr(seen, part) for part in LOOK_PARTS} | expected
    if event is not None and event.part == "accessory":
        expected["accessory"] = _worn(event)
    return expected


def _worn(event: Event) -> frozenset[int]:
    """The accessories of a character after an event that adds or removes one."""
    return frozenset(() if event.accessory is None or event.kind == "loses" else (event.accessory,))


def _distance(one: Values, other: Values) -> float:
    return float(np.abs(one - other).mean())
