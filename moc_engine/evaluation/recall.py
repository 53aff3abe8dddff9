"""Does the film remember? What captions leave unsaid must be as in the earlier takes.

What a character must look like is what the first take that shows it shows, or what words have said since: a
description or an event that changes it for good. A take that lacks a character whom its caption names has
its shape, accessory and state wrong; so has the next, if what it should remember was to be seen in such a
take alone. A set that comes back must have the tint and the layout of the first take that shows it.

`METRICS` holds what is found: shape, accessory and latest_state are 1 or 0, colour_error the mean absolute
difference of linear channels (0–1), tint and layout that of latent numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from moc_engine.animatic.scene import Scene
from moc_engine.animatic.script import Event
from moc_engine.animatic.world import Recall, Story, StoryShot
from moc_engine.evaluation.outcomes import Outcomes
from moc_engine.evaluation.reading import Seen, Values, cast_of, look, place

METRICS: Final = ("shape", "accessory", "colour_error", "latest_state", "layout", "tint")
SAME_COLOUR: Final = 0.1
SAME_GROWTH: Final = 0.25
"""How near the latest state a painted body and a grown size must come to count as remembered."""


def examine(story: Story, takes: Sequence[Scene], found: Outcomes) -> None:
    """Adds to `found` what the takes of one story remember."""
    sets = Sets(found)
    known: dict[int, Seen | None] = {}  # whom captions have named; None: what to remember was never shown
    changed: set[int] = set()
    for shot, take in zip(story.shots, takes, strict=True):
        sets.examine(shot, take)
        present = {cast: look(track) for cast, track in cast_of(take).items()}
        recalls = {recall.cast: recall for recall in shot.recalls}
        for actor in shot.script.actors:
            seen, before = present.get(actor.cast), known.get(actor.cast)
            recall = recalls.get(actor.cast)
            if recall is not None:
                _compare(before, seen, recall, found, changed=actor.cast in changed)
            if actor.event is not None and actor.cast in known:
                changed.add(actor.cast)
            known[actor.cast] = _learned(before, seen, shot.told.get(actor.cast, ()), actor.event)


class Sets:
    """What the takes of a story have shown of its sets so far."""

    def __init__(self, found: Outcomes) -> None:
        self._found = found
        self._first: dict[int, tuple[Values, Values]] = {}

    def examine(self, shot: StoryShot, take: Scene) -> None:
        """Compares a set that comes back with the first take that shows it, if one does."""
        kind, tint, layout = place(take)
        known = self._first.get(shot.script.place.kind)
        if known is not None:
            self._found.add("tint", _distance(tint, known[0]), shot.place_absence)
            self._found.add("layout", _distance(layout, known[1]), shot.place_absence)
        elif kind == shot.script.place.kind:
            self._first[kind] = tint, layout


def _compare(
    known: Seen | None, seen: Seen | None, recall: Recall, found: Outcomes, *, changed: bool
) -> None:
    """Compares the parts that memory must supply; with nothing to compare they are wrong, colours aside."""
    shape = accessory = latest = False
    parts, absence = recall.parts, recall.absence
    if known is not None and seen is not None:
        shape = seen.shape == known.shape
        accessory = seen.accessory == known.accessory
        latest = (
            accessory
            and _distance(seen.body, known.body) < SAME_COLOUR
            and abs(seen.growth - known.growth) < SAME_GROWTH
        )
        for part in ("body", "accent"):
            if part in parts:
                found.add("colour_error", _distance(getattr(seen, part), getattr(known, part)), absence)
    if "shape" in parts:
        found.add("shape", shape, absence)
    if "accessory" in parts:
        found.add("accessory", accessory, absence)
    if changed and {"body", "accessory"} <= set(parts):
        found.add("latest_state", latest, absence)


def _learned(before: Seen | None, seen: Seen | None, told: Sequence[str], event: Event | None) -> Seen | None:
    """What is known of a character after a take that names it."""
    if seen is None:
        return before if event is None else None
    if before is None:
        return seen
    described = replace(before, **{part: getattr(seen, part) for part in told})
    return described if event is None else _after(event, described, seen)


def _distance(one: Values, other: Values) -> float:
    return float(np.abs(one - other).mean())


def _after(event: Event, before: Seen, seen: Seen) -> Seen:
    """What is known of a character once an event is over: as before, but for what the event changed."""
    if event.kind == "gains":
        assert event.accessory is not None
        return replace(before, accessory=event.accessory)
    if event.kind == "loses":
        return replace(before, accessory=-1)
    if event.kind == "painted":
        return replace(before, body=seen.body)
    return replace(before, growth=seen.growth)
