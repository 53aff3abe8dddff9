"""Writes captions of scripts as a person might: in varied order and with parts left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from moc_engine.models.animatic.scene import ACCESSORIES, PROPS, SETS, SHAPES
from moc_engine.models.animatic.script import Actor, Look, PropUse, ShotScript

_VERBS: Final = {
    "stand": "stands",
    "walk": "walks",
    "run": "runs",
    "jump": "jumps",
    "spin": "spins",
    "wave": "waves",
    "sit": "sits",
    "sleep": "sleeps",
    "dance": "dances",
    "fall": "falls",
    "cheer": "cheers",
    "bow": "bows",
    "float": "floats",
    "look": "looks around",
}
_PLACES: Final = {
    "beach": "on the beach",
    "forest": "in the forest",
    "city": "in the city",
    "desert": "in the desert",
    "snow": "in the mountains",
    "room": "in the room",
    "moon": "on the moon",
    "meadow": "in the meadow",
}
_TIMES: Final = {"day": "by day", "sunset": "at sunset", "night": "at night"}
_WEATHERS: Final = {
    "clear": "clear sky",
    "rain": "it rains",
    "snowfall": "it is snowing",
    "fog": "in the fog",
    "wind": "it is windy",
}
_FRAMINGS: Final = {"wide": "wide shot", "medium": "medium shot", "closeup": "close-up"}
_CAMERAS: Final = {"follow": "camera follows", "shake": "camera shakes", "sway": "camera sways"}
_BESIDE: Final = ("with", "beside", "behind", "towards")

LOOK_PARTS: Final = ("body", "shape", "accessory", "accent")
"""The parts of a look that a description can contain."""


@dataclass(frozen=True, kw_only=True)
class CaptionContent:
    """The content of a caption besides the actions; the rest is left to memory or to the model.

    `looks` maps a cast index to the parts of its look that are described; `prop_colours` holds the
    prop kinds whose colour is named.
    """

    place: bool = True
    time: bool = True
    weather: bool = True
    looks: Mapping[int, tuple[str, ...]]
    prop_colours: frozenset[int] = frozenset()


def describe(look: Look, parts: Sequence[str], rng: np.random.Generator | None = None) -> str:
    """Describes a look: "a red round creature with a hat and teal stripes"."""
    words = [look.body_name] * ("body" in parts) + [SHAPES[look.shape]] * ("shape" in parts)
    if rng is not None and rng.random() < 0.3:
        words.reverse()
    text = " ".join(["a", *words, "creature"])
    extras = []
    if "accessory" in parts and look.accessory is not None:
        extras.append(f"a {ACCESSORIES[look.accessory]}")
    if "accent" in parts:
        extras.append(f"{look.accent_name} stripes")
    return text + (" with " + " and ".join(extras) if extras else "")


def write(script: ShotScript, names: Sequence[str], content: CaptionContent, rng: np.random.Generator) -> str:
    """Writes the caption of a shot; looks are described next to the name or in separate sentences."""
    clauses, looks = _clauses(script, names, content, rng)
    joint = " while " if rng.random() < 0.4 else (", " if rng.random() < 0.3 else " and ")
    lying = [f"there is {_prop(prop, content)}" for prop in script.props if prop.manner == "lies"]
    action = ", ".join(part for part in (joint.join(clauses), *lying) if part)
    place = _PLACES[SETS[script.place.kind]] if content.place else ""
    place_first = rng.random() < 0.25 and place and action
    said = f"{place}, {action}" if place_first else f"{action} {place}".strip()
    text = ", ".join(part for part in (said, *_extra_phrases(script, content, rng)) if part)
    text = text[:1].upper() + text[1:]
    return ". ".join([text, *looks]) + ("." if looks else "")


def _clauses(
    script: ShotScript, names: Sequence[str], content: CaptionContent, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """The clauses of the actors, joined if they do the same, and separate sentences that describe looks."""
    shown = list(script.actors)
    named: list[Actor] = []
    clauses: list[str] = []
    looks: list[str] = []
    while shown:
        first = shown.pop(0)
        group = [first]
        if not _needs_own_clause(script, first):
            while shown and _same_action(first, shown[0]) and not _needs_own_clause(script, shown[0]):
                group.append(shown.pop(0))
        subjects = []
        for actor in group:
            subject, sentences = _introduce(actor, names, content, rng)
            subjects.append(subject)
            looks += sentences
        before = [actor for actor in named if actor not in group]
        company = _companion(before, shown[:1], script, content, rng) if first.event is None else None
        if company in shown and _stands_idle(script, company, content) and rng.random() < 0.7:
            shown.remove(company)
        named += group if company is None else [*group, company]
        beside = None if company is None else f"{rng.choice(_BESIDE)} {names[company.cast]}"
        clauses.append(_clause(subjects, first, script, content, rng, beside))
    return clauses, looks


def _companion(
    before: Sequence[Actor],
    following: Sequence[Actor],
    script: ShotScript,
    content: CaptionContent,
    rng: np.random.Generator,
) -> Actor | None:
    """The actor next to whom the action happens, or None.

    It was named before or is the next one, because slots are in the order of names.
    """
    likely = any(_stands_idle(script, actor, content) for actor in following)
    others = following if likely else [*before, *following]
    if not others or rng.random() > (0.7 if likely else 0.12):
        return None
    return others[int(rng.integers(len(others)))]


def _stands_idle(script: ShotScript, actor: Actor, content: CaptionContent) -> bool:
    """Whether an actor only stands, so that naming it next to another one suffices."""
    still = (actor.action, actor.direction, actor.expression) == ("stand", 0, None)
    return still and not _needs_own_clause(script, actor) and actor.cast not in content.looks


def _extra_phrases(script: ShotScript, content: CaptionContent, rng: np.random.Generator) -> list[str]:
    """The phrases for light, weather, framing and camera, in varied order."""
    asides = []
    if content.time:
        asides.append(_TIMES[script.time])
    if content.weather:
        asides.append(_WEATHERS[script.weather])
    if script.framing:
        asides.append(_FRAMINGS[script.framing])
    if script.camera:
        asides.append(_CAMERAS.get(script.camera, script.camera.replace("_", " ")))
    return [asides[i] for i in rng.permutation(len(asides))] if rng.random() < 0.5 else asides


def _needs_own_clause(script: ShotScript, actor: Actor) -> bool:
    """Whether an actor needs a separate clause because of an event or a prop."""
    place = script.actors.index(actor)
    return actor.event is not None or any(p.actor == place for p in script.props)


def _same_action(a: Actor, b: Actor) -> bool:
    return (a.action, a.direction, a.expression) == (b.action, b.direction, b.expression)


def _introduce(
    actor: Actor, names: Sequence[str], content: CaptionContent, rng: np.random.Generator
) -> tuple[str, list[str]]:
    name = names[actor.cast]
    parts = content.looks.get(actor.cast, ())
    if not parts:
        return name, []
    text = describe(actor.look, parts, rng)
    if rng.random() < 0.35:
        return f"{name}, {text},", []
    return name, [f"{name} is {text}"]


def _clause(
    subjects: Sequence[str],
    actor: Actor,
    script: ShotScript,
    content: CaptionContent,
    rng: np.random.Generator,
    beside: str | None,
) -> str:
    who = subjects[0] if len(subjects) == 1 else ", ".join(subjects[:-1]) + " and " + subjects[-1]
    direction = {-1: " left", 0: "", 1: " right"}[actor.direction]
    verb = _VERBS[actor.action] + direction
    place = script.actors.index(actor)
    things = [p for p in script.props if p.actor == place]
    silent_stand = actor.action == "stand" and beside is None and rng.random() < 0.6
    mood = actor.expression
    if mood and rng.random() < 0.3:
        who, mood = f"{mood} {who}" if len(subjects) == 1 else who, mood if len(subjects) > 1 else None
    words = [who]
    thing = things[0] if things else None
    if actor.event is not None:
        words.append(_event(actor))
    elif thing is not None and thing.manner == "thrown":
        words.append(f"throws {_prop(thing, content)}{direction}")
    elif thing is not None and silent_stand:
        words.append(f"holds {_prop(thing, content)}{direction}")
    elif thing is not None:
        carried = rng.choice(("with", "holding", "and holds"))
        words.append(f"{verb} {carried} {_prop(thing, content)}")
    elif not silent_stand or mood is None:
        words.append(verb)
    if mood:
        words.append("is " + mood if len(words) == 1 else mood)
    if beside is not None:
        words.append(beside)
    return " ".join(words)


def _event(actor: Actor) -> str:
    event = actor.event
    assert event is not None
    if event.kind == "gains":
        assert event.accessory is not None
        return f"puts on a {ACCESSORIES[event.accessory]}"
    if event.kind == "loses":
        assert event.accessory is not None
        return f"takes off the {ACCESSORIES[event.accessory]}"
    if event.kind == "painted":
        return f"is painted {event.colour_name}"
    return "grows up"


def _prop(prop: PropUse, content: CaptionContent) -> str:
    colour = f"{prop.colour_name} " if prop.kind in content.prop_colours else ""
    return f"a {colour}{PROPS[prop.kind]}"
