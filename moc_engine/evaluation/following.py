"""Does the film show what its captions say? Each finding is 1 (shown) or 0 (not shown).

`METRICS`: present (a named character is there), count (so many characters and no more), setting, described
(a described part of a look), event (what an event changes, once it is over), action (with the direction of
those who go somewhere), expression, prop (a thing that is held, thrown or lies there), camera and framing.
What a caption does not say is not examined, but for the set, which then stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from moc_engine.animatic.scene import Scene
from moc_engine.animatic.script import GROWN, Actor, Event, Look, ShotScript
from moc_engine.animatic.world import Story, StoryShot
from moc_engine.evaluation import reading
from moc_engine.evaluation.outcomes import Outcomes
from moc_engine.evaluation.reading import Seen

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
    for shot, take in zip(story.shots, takes, strict=True):
        script = shot.script
        seen = dict(reading.characters(take))
        found.add("count", sum(1 for _ in reading.characters(take)) == len(script.actors))
        found.add("setting", reading.place(take)[0] == script.place.kind)
        for index, actor in enumerate(script.actors):
            found.add("present", actor.cast in seen)
            _examine_look(shot, actor, seen.get(actor.cast), found)
            _examine_play(script, index, take, found)
        shown = [kind for kind, _ in reading.things(take)]
        for prop in script.props:
            found.add("prop", prop.kind in shown)
        if script.camera:
            found.add("camera", script.camera in reading.camera(take, script))
        if script.framing:
            found.add("framing", script.framing in reading.framing(take, script))


def _examine_look(shot: StoryShot, actor: Actor, seen: Seen | None, found: Outcomes) -> None:
    for part in shot.told.get(actor.cast, ()):
        if part not in _changed_parts(actor.event):
            found.add("described", seen is not None and _shows(part, actor.look, seen))
    if actor.event is not None:
        found.add("event", seen is not None and _has_happened(actor.event, seen))


def _examine_play(script: ShotScript, index: int, take: Scene, found: Outcomes) -> None:
    """Action and expression; those in an event or a throw move by its rules, and smile or cry."""
    actor = script.actors[index]
    track = reading.who_plays(take, actor.cast)
    busy = any(p.actor == index and p.manner == "thrown" for p in script.props)
    if actor.event is None and not busy:
        found.add(
            "action", track is not None and reading.goes_right(actor, reading.action(track, script, index))
        )
    if actor.expression is not None:
        found.add("expression", track is not None and reading.expression(track) == actor.expression)


def _changed_parts(event: Event | None) -> Iterator[str]:
    if event is not None and event.kind == "painted":
        yield "body"
    if event is not None and event.kind in ("gains", "loses"):
        yield "accessory"


def _shows(part: str, look: Look, seen: Seen) -> bool:
    match part:
        case "shape":
            return seen.shape == look.shape
        case "accessory":
            # a description that names none leaves it open
            return look.accessory is None or seen.accessory == look.accessory
        case "body":
            return reading.colour_name(seen.body) == look.body_name
        case _:
            return reading.colour_name(seen.accent) == look.accent_name


def _has_happened(event: Event, seen: Seen) -> bool:
    match event.kind:
        case "gains":
            return seen.accessory == event.accessory
        case "loses":
            return seen.accessory == -1
        case "painted":
            return reading.colour_name(seen.body) == event.colour_name
        case "grows":
            return abs(seen.growth - GROWN) < GROWN / 2
