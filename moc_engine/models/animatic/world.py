"""Generated stories for training and evaluation, with returning characters and sets.

A story draws hidden looks for its cast, hidden tints and layouts for its sets and colours for its props.
Captions describe some of them at the first appearance; everything else can only be known from earlier shots.
A caption without a place stays in the set of the previous shot. Sometimes a caption describes a character
again, and from then on the new look is the right one. The same generator state gives the same story.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from moc_engine.models.animatic.captions import LOOK_PARTS, CaptionContent, write
from moc_engine.models.animatic.lexicon import TIMES
from moc_engine.models.animatic.scene import CAST_SIZE, PATCH_FRAMES, PROPS, Scene
from moc_engine.models.animatic.script import (
    NAMED,
    Look,
    Place,
    ShotScript,
    sample_colour,
    sample_look,
    sample_place,
    sample_set_kind,
    sample_shot,
    sample_weather,
)
from moc_engine.models.animatic.staging import stage

NAMES: Final = ("Mira", "Otto", "Bo", "Luna", "Pip", "Zed", "Nia", "Gus")
REDESCRIBED: Final = 0.08
"""The share of returning characters that are described again."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """What can be known of a shot's actor in `slot` (0–2) only from earlier shots.

    `parts` are the parts of its look that the caption does not describe although an earlier shot showed them;
    `absence` is the number of shots since it was last seen; `changed` whether an earlier event altered it.
    """

    slot: int
    cast: int
    look: Look
    parts: tuple[str, ...]
    absence: int
    changed: bool


@dataclass(frozen=True, kw_only=True)
class StoryShot:
    """A shot with its ground truth: caption, scene, script, and what memory must supply.

    `described` has the parts of each cast member's look that the caption describes, `place_named` whether it
    names the set. `place_absence` counts shots since the set was last seen; None if it is new.
    """

    caption: str
    scene: Scene
    script: ShotScript
    recalls: tuple[Recall, ...]
    described: Mapping[int, tuple[str, ...]]
    place_named: bool
    place_absence: int | None


@dataclass(frozen=True, kw_only=True)
class Story:
    """A story; `cast` has a name for each cast token, though not all may appear."""

    global_caption: str
    cast: tuple[str, ...]
    shots: tuple[StoryShot, ...]


def sample_story(
    rng: np.random.Generator,
    *,
    shots: int,
    cast: int,
    tokens: int | Sequence[int],
    redescribed: float = REDESCRIBED,
) -> Story:
    """A story of `shots` shots with up to `cast` cast members.

    `tokens` is the length of every shot, or of each, in token frames (`PATCH_FRAMES` latent frames).
    `redescribed` is the share of returning characters that are described again, mostly with another look.
    """
    if not 1 <= cast <= CAST_SIZE:
        raise ValueError(f"cast: must be within 1–{CAST_SIZE}, got {cast}")
    lengths = [tokens] * shots if isinstance(tokens, int) else list(tokens)
    members = [int(i) for i in rng.choice(CAST_SIZE, cast, replace=False)]
    looks = {i: sample_look(rng) for i in members}
    places: dict[int, Place] = {}
    prop_colours = []
    for _ in PROPS:
        name = str(rng.choice(list(NAMED)))
        prop_colours.append((name, sample_colour(rng, name)))
    story_time = str(rng.choice(list(TIMES))) if rng.random() < 0.35 else None
    story_weather = sample_weather(rng) if rng.random() < 0.15 else None
    event_rate = 0.2
    leading = dict(zip(members, rng.gamma(1.0, size=cast) + 0.03, strict=True))
    seen: dict[int, int] = {}
    seen_places: dict[int, int] = {}
    seen_props: set[int] = set()
    changed: set[int] = set()
    story_shots: list[StoryShot] = []
    for index, length in enumerate(lengths):
        kind = _choose_place(rng, seen_places)
        place = places.setdefault(kind, sample_place(rng, kind))
        who = _choose_cast(rng, leading, seen, index, shots)
        described: dict[int, tuple[str, ...]] = {}
        for i in who:
            parts = _choose_parts(rng, first=i not in seen, redescribed=redescribed)
            if parts and i in seen and rng.random() < 0.6:
                looks[i] = _recast(rng, looks[i], parts)
            if looks[i].accessory is None:
                parts = tuple(part for part in parts if part != "accessory")
            if parts:
                described[i] = parts
        own_time = str(rng.choice(list(TIMES))) if rng.random() < 0.3 else None
        own_weather = sample_weather(rng) if rng.random() < 0.25 else None
        script = sample_shot(
            rng,
            place=place,
            cast=[(i, looks[i]) for i in who],
            prop_colours=prop_colours,
            time=own_time or story_time or "day",
            weather=own_weather or story_weather or "clear",
            event_rate=event_rate,
        )
        stays = index == 0 or story_shots[-1].script.place.kind == kind
        content = CaptionContent(
            place=not (who and stays and rng.random() < 0.3),
            time=own_time is not None,
            weather=own_weather is not None,
            looks=described,
            prop_colours=frozenset(
                p.kind for p in script.props if rng.random() < (0.1 if p.kind in seen_props else 0.5)
            ),
        )
        recalls = tuple(
            Recall(
                slot=slot,
                cast=a.cast,
                look=a.after,
                parts=tuple(p for p in LOOK_PARTS if p not in content.looks.get(a.cast, ())),
                absence=index - seen[a.cast],
                changed=a.cast in changed,
            )
            for slot, a in enumerate(script.actors)
            if a.cast in seen and a.event is None
        )
        story_shots.append(
            StoryShot(
                caption=write(script, NAMES, content, rng),
                scene=stage(script, length * PATCH_FRAMES, rng),
                script=script,
                recalls=recalls,
                described=content.looks,
                place_named=content.place,
                place_absence=index - seen_places[kind] if kind in seen_places else None,
            )
        )
        for actor in script.actors:
            looks[actor.cast] = actor.after
            seen[actor.cast] = index
            if actor.event:
                changed.add(actor.cast)
        seen_props.update(p.kind for p in script.props)
        seen_places[kind] = index
    return Story(
        global_caption=_write_global(story_time, story_weather), cast=NAMES, shots=tuple(story_shots)
    )


def _write_global(time: str | None, weather: str | None) -> str:
    """The global caption: the light and the weather of the whole story."""
    lights = {"day": "daylight", "sunset": "warm evening light", "night": "night"}
    skies = {"rain": "rain", "snowfall": "snowfall", "fog": "mist", "wind": "wind", "clear": "clear sky"}
    return ", ".join(part for part in (lights.get(time or ""), skies.get(weather or "")) if part)


def _choose_place(rng: np.random.Generator, seen: dict[int, int]) -> int:
    if seen and rng.random() < 0.6:
        return int(rng.choice(list(seen)))
    return sample_set_kind(rng)


def _choose_cast(
    rng: np.random.Generator, leading: dict[int, float], seen: dict[int, int], index: int, shots: int
) -> list[int]:
    """One to three members, rarely none; new ones appear early in the story.

    `leading` is the weight of each member: those with a large one appear often, the others return after long
    absences.
    """
    if rng.random() < 0.03:
        return []
    count = min(len(leading), int(rng.choice((1, 2, 3), p=(0.5, 0.34, 0.16))))
    new = [i for i in leading if i not in seen]
    old = list(seen)
    chosen: list[int] = []
    for _ in range(count):
        due = len(new) / max(1.0, 0.6 * shots - index) if index < 0.6 * shots else 0.15
        if new and (not old or rng.random() < min(0.95, max(0.25, due))):
            chosen.append(new.pop(int(rng.integers(len(new)))))
        elif old:
            weights = np.array([leading[i] * (0.7 + 0.3 * (index - seen[i])) for i in old])
            chosen.append(old.pop(int(rng.choice(len(old), p=weights / weights.sum()))))
    return chosen


def _choose_parts(rng: np.random.Generator, *, first: bool, redescribed: float) -> tuple[str, ...]:
    """The parts of a look that a caption describes: often at the first appearance, seldom later."""
    if not first and rng.random() > redescribed:
        return ()
    draw = rng.random()
    if first and draw < 0.25:
        return ()
    if draw < 0.45:
        return LOOK_PARTS[:3]
    if draw < 0.75:
        return LOOK_PARTS
    return tuple(p for p in LOOK_PARTS if rng.random() < 0.5)


def _recast(rng: np.random.Generator, look: Look, parts: Sequence[str]) -> Look:
    """The look with new values in the given parts, for a caption that describes a character again."""
    other = sample_look(rng)
    if "shape" in parts:
        look = replace(look, shape=other.shape)
    if "accessory" in parts and other.accessory is not None:  # an absent one would not be mentioned
        look = replace(look, accessory=other.accessory)
    if "body" in parts:
        look = replace(look, body=other.body, body_name=other.body_name)
    if "accent" in parts:
        look = replace(look, accent=other.accent, accent_name=other.accent_name)
    return look
