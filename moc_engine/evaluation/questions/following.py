"""Does the film show what its captions say? Each score is 1 (shown) or 0 (not shown).

`METRICS`: present (a named character is there), count (the right number of characters), setting, described (a
described part of a look), event (the change that an event makes, once it is over), action (with its direction
for walking and running), expression, prop (held, thrown or lying), camera and framing. Only what the caption
says is scored, but for the set: without a mention it stays that of the previous take. Distances are those of
the character in question, or the longest of all for what concerns the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from moc_engine.evaluation.measures import reading
from moc_engine.evaluation.measures.reading import ObservedLook
from moc_engine.evaluation.measures.scores import Scores
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


def score(story: Story, takes: Sequence[Scene], scores: Scores) -> None:
    """Adds to `scores` how the takes of one story follow its captions."""
    before: int | None = None  # the set of the previous take
    last: dict[int, int] = {}  # the last shot of each cast member
    for number, (shot, take) in enumerate(zip(story.shots, takes, strict=True)):
        script = shot.script
        away = {a.cast: number - last[a.cast] for a in script.actors if a.cast in last}
        longest = max(away.values(), default=None)
        shown = reading.cast_of(take)
        place = reading.place(take)[0]
        wanted = script.place.kind if shot.place_named else before
        if wanted is not None:
            scores.add("setting", place == wanted, shot.place_absence)
        before = place
        scores.add("count", reading.count(take) == len(script.actors), longest)
        for index, actor in enumerate(script.actors):
            track, absence = shown.get(actor.cast), away.get(actor.cast)
            scores.add("present", track is not None, absence)
            _score_look(shot, actor, None if track is None else reading.look(track), absence, scores)
            _score_acting(shot, index, track, absence, scores)
            last[actor.cast] = number
        shown_props = [kind for kind, _ in reading.props(take)]
        for prop in script.props:
            scores.add("prop", prop.kind in shown_props, longest)
        if script.camera:
            scores.add("camera", script.camera in reading.camera(take, script), longest)
        if script.framing:
            scores.add("framing", script.framing in reading.framing(take, script), longest)


def _score_look(
    shot: StoryShot, actor: Actor, seen: ObservedLook | None, absence: int | None, scores: Scores
) -> None:
    for part in shot.described.get(actor.cast, ()):
        if actor.event is None or part != actor.event.part:
            scores.add("described", seen is not None and _shows(part, actor.look, seen), absence)
    if actor.event is not None:
        scores.add("event", seen is not None and _has_happened(actor.event, seen), absence)


def _score_acting(
    shot: StoryShot, index: int, track: Track | None, absence: int | None, scores: Scores
) -> None:
    """Action and expression. During an event or a throw the character moves by its rules, so only then not.

    A character that is only named, or only said to be sad, need not stand still.
    """
    script, actor = shot.script, shot.script.actors[index]
    throwing = any(p.actor == index and p.manner == "thrown" for p in script.props)
    implied = actor.action == "stand" and " stands" not in shot.caption
    if actor.event is None and not throwing and not implied:
        right = track is not None and reading.matches_action(actor, reading.action(track, script, index))
        scores.add("action", right, absence)
    if actor.expression is not None:
        shows = track is not None and reading.expression(track) == actor.expression
        scores.add("expression", shows, absence)


def _shows(part: str, look: Look, seen: ObservedLook) -> bool:
    match part:
        case "shape":
            return seen.shape == look.shape
        case "accessory":
            return seen.accessory == {look.accessory}
        case "body":
            return reading.colour_name(seen.body) == look.body_name
        case _:
            return reading.colour_name(seen.accent) == look.accent_name


def _has_happened(event: Event, seen: ObservedLook) -> bool:
    match event.kind:
        case "gains":
            return seen.accessory == {event.accessory}
        case "loses":
            return not seen.accessory
        case "painted":
            return reading.colour_name(seen.body) == event.colour_name
        case "grows":
            return abs(seen.growth - GROWN) < GROWN / 2
