"""Does the film show what its captions say? Each finding is 1 (shown) or 0 (not shown).

`METRICS`: present (a named character is there), count (so many characters and no more), setting, described
(a described part of a look), event (what an event changes, once it is over), action (with the direction of
those who go somewhere), expression, prop (a thing that is held, thrown or lies there), camera and framing.
What a caption does not say is not examined, but for the set, which then stays that of the take before.
Distances are those of the character in question; for what concerns the whole picture, the longest of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from moc_engine.evaluation.measures import reading
from moc_engine.evaluation.measures.outcomes import Outcomes
from moc_engine.evaluation.measures.reading import Seen
from moc_engine.models.animatic.scene import Scene, Track
from moc_engine.models.animatic.script import GROWN, Actor, Event, Look
from moc_engine.models.animatic.world import Story, StoryShot

METRICS: Final = (
    "present",
    "count",
    "setting",
    "described",
    "event",
    "action",
    "expression",
    "prop",
    "camera",
    "framing",
)


def examine(story: Story, takes: Sequence[Scene], found: Outcomes) -> None:
    """Adds to `found` what the takes of one story show of what its captions say."""
    before: int | None = None  # the set of the take before
    last: dict[int, int] = {}  # the shot in which each cast member was seen last
    for number, (shot, take) in enumerate(zip(story.shots, takes, strict=True)):
        script = shot.script
        away = {a.cast: number - last[a.cast] for a in script.actors if a.cast in last}
        longest = max(away.values(), default=None)
        shown = reading.cast_of(take)
        place = reading.place(take)[0]
        wanted = script.place.kind if shot.place_told else before
        if wanted is not None:
            found.add("setting", place == wanted, shot.place_absence)
        before = place
        found.add("count", reading.count(take) == len(script.actors), longest)
        for index, actor in enumerate(script.actors):
            track, absence = shown.get(actor.cast), away.get(actor.cast)
            found.add("present", track is not None, absence)
            _examine_look(shot, actor, None if track is None else reading.look(track), absence, found)
            _examine_play(shot, index, track, absence, found)
            last[actor.cast] = number
        things = [kind for kind, _ in reading.things(take)]
        for prop in script.props:
            found.add("prop", prop.kind in things, longest)
        if script.camera:
            found.add("camera", script.camera in reading.camera(take, script), longest)
        if script.framing:
            found.add("framing", script.framing in reading.framing(take, script), longest)


def _examine_look(
    shot: StoryShot, actor: Actor, seen: Seen | None, absence: int | None, found: Outcomes
) -> None:
    for part in shot.told.get(actor.cast, ()):
        if actor.event is None or part != actor.event.part:
            found.add("described", seen is not None and _shows(part, actor.look, seen), absence)
    if actor.event is not None:
        found.add("event", seen is not None and _has_happened(actor.event, seen), absence)


def _examine_play(
    shot: StoryShot, index: int, track: Track | None, absence: int | None, found: Outcomes
) -> None:
    """Action and expression; those in an event or a throw move by its rules, and smile or cry.

    Who is only said to be there, or to be sad, need not stand still for it.
    """
    script, actor = shot.script, shot.script.actors[index]
    busy = any(p.actor == index and p.manner == "thrown" for p in script.props)
    unsaid = actor.action == "stand" and " stands" not in shot.caption
    if actor.event is None and not busy and not unsaid:
        right = track is not None and reading.goes_right(actor, reading.action(track, script, index))
        found.add("action", right, absence)
    if actor.expression is not None:
        shows = track is not None and reading.expression(track) == actor.expression
        found.add("expression", shows, absence)


def _shows(part: str, look: Look, seen: Seen) -> bool:
    match part:
        case "shape":
            return seen.shape == look.shape
        case "accessory":
            return seen.accessory == {look.accessory}
        case "body":
            return reading.colour_name(seen.body) == look.body_name
        case _:
            return reading.colour_name(seen.accent) == look.accent_name


def _has_happened(event: Event, seen: Seen) -> bool:
    match event.kind:
        case "gains":
            return seen.accessory == {event.accessory}
        case "loses":
            return not seen.accessory
        case "painted":
            return reading.colour_name(seen.body) == event.colour_name
        case "grows":
            return abs(seen.growth - GROWN) < GROWN / 2
