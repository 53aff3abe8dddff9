"""Stories for the toon model: captions, scenes to draw, and what an earlier shot alone can tell.

They are put together from the parts of the embedded model's world, with settings of how rich they are. Every
character first appears alone. Its caption may describe it then; when it returns, no caption does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from moc_engine.models.animatic.captions import CaptionContent, write
from moc_engine.models.animatic.colour import srgb_from_lab
from moc_engine.models.animatic.scene import CAST_SIZE, SETS, Scene, frames_for
from moc_engine.models.animatic.script import (
    NAMED,
    Actor,
    Look,
    Place,
    ShotScript,
    sample_colour,
    sample_look,
    sample_place,
)
from moc_engine.models.animatic.staging import stage
from moc_engine.models.animatic.world import NAMES

GREY: Final = (0.7, 0.0, 0.0)
"""The OKLab colour from which those of a scene are measured."""


@dataclass(frozen=True, kw_only=True)
class ToonWorld:
    """How rich the stories are.

    `cast` is the least and the greatest number of characters of a story. `together` is the share of later
    shots with two of them. `described` is the share of first appearances that a caption describes, with the
    parts `described_parts`. With `shapes` and `accessories` off all characters are round and wear nothing.
    Values given several times are drawn as often.
    """

    cast: tuple[int, int] = (2, 3)
    together: float = 0.0
    described: float = 0.5
    described_parts: tuple[str, ...] = ("body",)
    shapes: bool = False
    accessories: bool = False
    sets: tuple[str, ...] = ("beach", "snow", "meadow")
    tinted: bool = False
    actions: tuple[str, ...] = ("stand", "wave", "cheer", "look")
    framings: tuple[str, ...] = ("closeup",)
    times: tuple[str, ...] = ("day",)
    weathers: tuple[str, ...] = ("clear",)

    def __post_init__(self) -> None:
        least, greatest = self.cast
        if not 1 <= least <= greatest <= CAST_SIZE:
            raise ValueError(f"cast: must rise within 1–{CAST_SIZE}, got {self.cast}")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A character in a shot: in `slot` of the scene, its body of the colour `rgb` (0–1) in daylight.

    `described` says whether the caption tells that colour, `absence` how many shots ago it was last seen;
    None at its first appearance.
    """

    cast: int
    slot: int
    rgb: tuple[float, float, float]
    described: bool
    absence: int | None

    @property
    def recalled(self) -> bool:
        """Whether only an earlier shot tells its colour."""
        return self.absence is not None and not self.described


@dataclass(frozen=True, kw_only=True)
class ToonShot:
    """A shot: its caption, the scene to draw, and who is in it."""

    caption: str
    scene: Scene
    shown: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class ToonStory:
    """The shots of a story. They have no global caption."""

    shots: tuple[ToonShot, ...]


def sample_toon_story(rng: np.random.Generator, world: ToonWorld, *, shots: int, seconds: float) -> ToonStory:
    """A story of `shots` shots of `seconds` each; the same generator state gives the same story."""
    looks = _looks(rng, world)
    places = {kind: _place(rng, world, kind) for kind in dict.fromkeys(world.sets)}
    unseen = list(looks)
    seen: dict[int, int] = {}
    told: list[ToonShot] = []
    for index in range(shots):
        introduces = bool(unseen) and (not seen or rng.random() < 0.6)
        if introduces:
            who = [unseen.pop()]
        else:
            count = 2 if len(seen) > 1 and rng.random() < world.together else 1
            who = [int(i) for i in rng.choice(list(seen), count, replace=False)]
        described = introduces and bool(rng.random() < world.described)
        parts = {who[0]: world.described_parts} if described else {}
        script = _script(rng, world, places, [(i, looks[i]) for i in who])
        content = CaptionContent(looks=parts, time=len(world.times) > 1, weather=len(world.weathers) > 1)
        told.append(
            ToonShot(
                caption=write(script, NAMES, content, rng),
                scene=stage(script, frames_for(seconds), rng),
                shown=tuple(
                    Shown(
                        cast=i,
                        slot=slot,
                        rgb=body_rgb(looks[i]),
                        described="body" in parts.get(i, ()),
                        absence=index - seen[i] if i in seen else None,
                    )
                    for slot, i in enumerate(who)
                ),
            )
        )
        seen.update(dict.fromkeys(who, index))
    return ToonStory(shots=tuple(told))


def body_rgb(look: Look) -> tuple[float, float, float]:
    """The colour of a character's body as sRGB within 0–1, without light and shade."""
    lab = np.asarray(look.body) + GREY
    red, green, blue = srgb_from_lab(lab).tolist()
    return red, green, blue


def _looks(rng: np.random.Generator, world: ToonWorld) -> dict[int, Look]:
    """The looks of a cast, by its members' numbers; no two bodies have a colour of one name."""
    count = int(rng.integers(world.cast[0], world.cast[1] + 1))
    members = [int(i) for i in rng.choice(CAST_SIZE, count, replace=False)]
    names = [str(name) for name in rng.choice(list(NAMED), count, replace=False)]
    looks = {}
    for member, name in zip(members, names, strict=True):
        look = replace(sample_look(rng), body_name=name, body=sample_colour(rng, name))
        if not world.shapes:
            look = replace(look, shape=0)
        if not world.accessories:
            look = replace(look, accessory=None)
        looks[member] = look
    return looks


def _place(rng: np.random.Generator, world: ToonWorld, kind: str) -> Place:
    place = sample_place(rng, SETS.index(kind))
    return place if world.tinted else replace(place, tint=(0.0, 0.0), layout=(0.0,) * len(place.layout))


def _script(
    rng: np.random.Generator,
    world: ToonWorld,
    places: dict[str, Place],
    cast: list[tuple[int, Look]],
) -> ShotScript:
    def one_of(values: tuple[str, ...]) -> str:
        return values[int(rng.integers(len(values)))]

    return ShotScript(
        place=places[one_of(world.sets)],
        actors=tuple(Actor(cast=i, action=one_of(world.actions), look=look) for i, look in cast),
        framing=one_of(world.framings),
        time=one_of(world.times),
        weather=one_of(world.weathers),
    )
