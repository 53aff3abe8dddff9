"""Does the film remember? What captions leave unsaid must be as in the earlier takes.

What a character must look like is what the first take that shows it shows, or what words have said since: a
description or an event that changes it for good. A take that lacks a character whom its caption names has
its shape, accessory and state wrong; so has the next in each part that was to be seen in such a take alone. A
set that comes back must have the tint and the layout of the first take that shows it.

`METRICS` holds what is found: shape, accessory and latest_state are 1 or 0, colour_error the mean absolute
difference of linear channels (0–1), tint and layout that of latent numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import numpy as np

from moc_engine.evaluation.measures.outcomes import Outcomes
from moc_engine.evaluation.measures.reading import Seen, Values, cast_of, look, place
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.script import Event
from moc_engine.models.animatic.world import Recall, Story, StoryShot

METRICS: Final = ("shape", "accessory", "colour_error", "latest_state", "layout", "tint")
SAME_COLOUR: Final = 0.1
SAME_GROWTH: Final = 0.25
"""How near the latest state a painted body and a grown size must come to count as remembered."""
CHANCE: Final = 1 / 6
"""What guessing evenly scores on shape and accessory: six shapes, and five accessories or none."""
SEEN: Final = tuple(part.name for part in fields(Seen))

Known = Mapping[str, Any]
"""The parts of a character that takes have shown as they must be from now on, as in `Seen`."""


def examine(story: Story, takes: Sequence[Scene], found: Outcomes) -> None:
    """Adds to `found` what the takes of one story remember."""
    sets = _Sets(found)
    known: dict[int, Known] = {}
    changed: set[int] = set()
    for shot, take in zip(story.shots, takes, strict=True):
        sets.examine(shot, take)
        present = {cast: look(track) for cast, track in cast_of(take).items()}
        recalls = {recall.cast: recall for recall in shot.recalls}
        for actor in shot.script.actors:
            seen, before = present.get(actor.cast), known.get(actor.cast)
            told = shot.told.get(actor.cast, ())
            if actor.cast in recalls:
                _compare(before or {}, seen, recalls[actor.cast], found, changed=actor.cast in changed)
            if before is not None and (told or actor.event is not None):
                changed.add(actor.cast)
            known[actor.cast] = _learned(before or {}, seen, told, actor.event)


class _Sets:
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


def _compare(known: Known, seen: Seen | None, recall: Recall, found: Outcomes, *, changed: bool) -> None:
    """Compares the parts that memory must supply; with nothing to compare they are wrong, colours aside."""
    parts, absence = recall.parts, recall.absence
    right = {part: seen is not None and part in known and _same(part, known[part], seen) for part in SEEN}
    for part in ("body", "accent"):
        if part in parts and part in known and seen is not None:
            found.add("colour_error", _distance(getattr(seen, part), known[part]), absence)
    for part in ("shape", "accessory"):
        if part in parts:
            found.add(part, right[part], absence)
    if changed and {"body", "accessory"} <= set(parts):
        found.add("latest_state", right["accessory"] and right["body"] and right["growth"], absence)


def _same(part: str, known: Any, seen: Seen) -> bool:
    shown = getattr(seen, part)
    match part:
        case "shape" | "accessory":
            return bool(shown == known)
        case "growth":
            return bool(abs(shown - known) < SAME_GROWTH)
        case _:
            return _distance(shown, known) < SAME_COLOUR


def _learned(before: Known, seen: Seen | None, told: Sequence[str], event: Event | None) -> Known:
    """What is known of a character after a take whose caption names it.

    Words that say a part anew end what was known of it, also where the take fails to show it.
    """
    anew = {*told, *(() if event is None else (event.part,))}
    known = {part: value for part, value in before.items() if part not in anew}
    if seen is not None:
        known = {part: getattr(seen, part) for part in SEEN} | known
    if event is not None and event.part == "accessory":
        known["accessory"] = _worn(event)
    return known


def _worn(event: Event) -> frozenset[int]:
    """What somebody wears who has put something on, or taken it off."""
    return frozenset(() if event.accessory is None or event.kind == "loses" else (event.accessory,))


def _distance(one: Values, other: Values) -> float:
    return float(np.abs(one - other).mean())
