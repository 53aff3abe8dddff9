"""Scripts of shots, before they are staged or captioned: looks, actors, props, sets.

A `ShotScript` is the ground truth of a shot: `staging` turns it into a scene, `captions` into a sentence that
need not mention everything. What the sentence leaves out can only be known from earlier shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from moc_engine.models.animatic.colour import lab_from_lch
from moc_engine.models.animatic.lexicon import ACTIONS, CAMERAS, COLOURS, EXPRESSIONS, WEATHERS
from moc_engine.models.animatic.scene import ACCESSORIES, PROPS, SETS, SHAPES

Colour = tuple[float, float, float]
"""OKLab (L - .7, a, b), as the scene stores it."""

# lightness, chroma, hue of each named colour; the shades of a story are near one of them
NAMED: Final[dict[str, tuple[float, float, float]]] = {
    "red": (0.62, 0.19, 26.0),
    "orange": (0.73, 0.16, 56.0),
    "yellow": (0.82, 0.15, 90.0),
    "green": (0.67, 0.16, 142.0),
    "teal": (0.70, 0.11, 190.0),
    "blue": (0.58, 0.16, 258.0),
    "purple": (0.56, 0.17, 300.0),
    "pink": (0.74, 0.15, 352.0),
    "white": (0.89, 0.02, 90.0),
}
assert NAMED.keys() == COLOURS.keys()

Manner = Literal["held", "thrown", "lies"]
EventKind = Literal["gains", "loses", "painted", "grows"]
GROWN: Final = 0.5
"""log2 of the size of a character that has grown, relative to before."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The look of a character at one moment of a story."""

    shape: int
    accessory: int | None
    body: Colour
    body_name: str
    accent: Colour
    accent_name: str
    growth: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event that changes a look permanently."""

    kind: EventKind
    accessory: int | None = None
    colour: Colour | None = None
    colour_name: str | None = None

    @property
    def part(self) -> str:
        """The part of a look that it changes."""
        return {"gains": "accessory", "loses": "accessory", "painted": "body", "grows": "growth"}[self.kind]

    def applied(self, look: Look) -> Look:
        if self.kind == "gains":
            return replace(look, accessory=self.accessory)
        if self.kind == "loses":
            return replace(look, accessory=None)
        if self.kind == "grows":
            return replace(look, growth=GROWN)
        assert self.colour is not None
        assert self.colour_name is not None
        return replace(look, body=self.colour, body_name=self.colour_name)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A cast member in a shot. `direction` is -1 left, +1 right, 0 unspecified; `look` is before the
    event."""

    cast: int
    action: str
    look: Look
    direction: int = 0
    expression: str | None = None
    event: Event | None = None

    @property
    def after(self) -> Look:
        return self.event.applied(self.look) if self.event else self.look


@dataclass(frozen=True, kw_only=True)
class PropUse:
    """A prop in a shot; `actor` is the index of the actor who holds or throws it."""

    kind: int
    colour: Colour
    colour_name: str
    manner: Manner
    actor: int | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A set of a story, with its own tint and layout."""

    kind: int
    tint: tuple[float, float]
    layout: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ShotScript:
    """One shot: place, time, actors, props and camera (None: unspecified)."""

    place: Place
    actors: tuple[Actor, ...]
    props: tuple[PropUse, ...] = ()
    time: str = "day"
    weather: str = "clear"
    framing: str | None = None
    camera: str | None = None


MOVING: Final = ("walk", "run")
_HOLDING: Final = (
    "stand",
    "walk",
    "run",
    "wave",
    "sit",
    "dance",
    "jump",
    "float",
    "look",
    "cheer",
    "bow",
    "spin",
)


def sample_colour(rng: np.random.Generator, name: str) -> Colour:
    """A random shade near a named colour."""
    lightness, chroma, hue = NAMED[name]
    spread = 0.3 if name == "white" else 1.0
    lch = (
        lightness + rng.uniform(-0.045, 0.045) * spread,
        chroma + rng.uniform(-0.02, 0.02) * spread,
        hue + rng.uniform(-13.0, 13.0),
    )
    lab = lab_from_lch(lch)
    return (float(lab[0]) - 0.7, float(lab[1]), float(lab[2]))


def sample_look(rng: np.random.Generator) -> Look:
    body_name = str(rng.choice(list(NAMED)))
    accent_name = str(rng.choice([n for n in NAMED if n != body_name]))
    accessory = int(rng.integers(-1, len(ACCESSORIES)))
    return Look(
        shape=int(rng.integers(len(SHAPES))),
        accessory=None if accessory < 0 else accessory,
        body=sample_colour(rng, body_name),
        body_name=body_name,
        accent=sample_colour(rng, accent_name),
        accent_name=accent_name,
    )


def sample_place(rng: np.random.Generator, kind: int) -> Place:
    angle, strength = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.03, 0.1)
    return Place(
        kind=kind,
        tint=(float(strength * np.cos(angle)), float(strength * np.sin(angle))),
        layout=tuple(float(v) for v in rng.uniform(-1.0, 1.0, 6)),
    )


def sample_event(rng: np.random.Generator, look: Look) -> Event:
    kinds: list[EventKind] = ["gains", "painted"]
    if look.accessory is not None:
        kinds.append("loses")
    if look.growth == 0.0:
        kinds.append("grows")
    kind = kinds[rng.integers(len(kinds))]
    if kind == "gains":
        return Event(
            kind=kind, accessory=int(rng.choice([a for a in range(len(ACCESSORIES)) if a != look.accessory]))
        )
    if kind == "painted":
        name = str(rng.choice([n for n in NAMED if n not in (look.body_name, look.accent_name)]))
        return Event(kind=kind, colour=sample_colour(rng, name), colour_name=name)
    return Event(kind=kind, accessory=look.accessory if kind == "loses" else None)


def sample_shot(
    rng: np.random.Generator,
    *,
    place: Place,
    cast: Sequence[tuple[int, Look]],
    prop_colours: Sequence[tuple[str, Colour]],
    time: str,
    weather: str,
    event_rate: float,
) -> ShotScript:
    """A random shot at `place` with the given cast members (index, current look)."""
    actors: list[Actor] = []
    together = len(cast) > 1 and rng.random() < 0.45
    shared = _sample_action(rng)
    for index, look in cast:
        action, direction, expression = shared if together else _sample_action(rng)
        if actors and not together and rng.random() < 0.15:
            action, direction, expression = "stand", 0, None  # for others to turn to
        event = None
        if rng.random() < event_rate:
            event = sample_event(rng, look)
            action, direction = "stand", 0
        actors.append(
            Actor(
                cast=index, action=action, direction=direction, expression=expression, look=look, event=event
            )
        )
    crowded = len(actors) > 2
    framing = _perhaps(rng, 0.5, ("wide", "medium") if crowded else ("wide", "medium", "closeup"))
    return ShotScript(
        place=place,
        actors=tuple(actors),
        props=_sample_props(rng, actors, prop_colours),
        time=time,
        weather=weather,
        framing=framing,
        camera=_sample_camera(rng, actors),
    )


def _sample_camera(rng: np.random.Generator, actors: Sequence[Actor]) -> str | None:
    """A random camera move; following is likely only if somebody moves."""
    if any(a.action in MOVING and a.event is None for a in actors) and rng.random() < 0.3:
        return "follow"
    move = _perhaps(rng, 0.45, tuple(CAMERAS))
    return move if move != "follow" or rng.random() < 0.3 else None


def _sample_action(rng: np.random.Generator) -> tuple[str, int, str | None]:
    action = str(rng.choice(list(ACTIONS)))
    direction = int(rng.choice((-1, 1))) if action in MOVING or rng.random() < 0.1 else 0
    expression = _perhaps(rng, 0.35, tuple(EXPRESSIONS)) if action != "sleep" else None
    return action, direction, expression


def _sample_props(
    rng: np.random.Generator, actors: Sequence[Actor], colours: Sequence[tuple[str, Colour]]
) -> tuple[PropUse, ...]:
    props: list[PropUse] = []
    kinds = list(rng.permutation(len(PROPS)))

    def use(kind: int, manner: Manner, actor: int | None) -> None:
        name, colour = colours[kind]
        props.append(PropUse(kind=kind, colour=colour, colour_name=name, manner=manner, actor=actor))

    for i, actor in enumerate(actors):
        if actor.event or rng.random() > 0.25:
            continue
        if actor.action == "stand" and rng.random() < 0.4:
            use(PROPS.index("ball") if rng.random() < 0.6 else PROPS.index("flower"), "thrown", i)
            kinds = [k for k in kinds if k != props[-1].kind]
        elif actor.action in _HOLDING:
            use(int(kinds.pop()), "held", i)
    if len(props) < 3 and rng.random() < 0.2:
        taken = {p.kind for p in props}
        use(int(next(k for k in kinds if k not in taken)), "lies", None)
    unique = {p.kind: p for p in reversed(props)}
    return tuple(p for p in props[:3] if unique.get(p.kind) is p)


def _perhaps(rng: np.random.Generator, chance: float, among: Sequence[str]) -> str | None:
    return str(rng.choice(list(among))) if rng.random() < chance else None


def sample_weather(rng: np.random.Generator) -> str:
    """A random weather, mostly clear."""
    return "clear" if rng.random() < 0.6 else str(rng.choice([w for w in WEATHERS if w != "clear"]))


def sample_set_kind(rng: np.random.Generator) -> int:
    return int(rng.integers(len(SETS)))
