"""Reads a take back: who is in it, how they look, what they do and how the camera moves.

Takes are scenes as the codec draws them (`Timeline.drawn`); looks and places are read straight from them.
What somebody does, how they feel and what the camera does is that of the world's own scenes which comes
nearest: each of them is played as the world plays it and compared frame by frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.colour import lab_from_lch, lab_from_linear, linear_from_lab
from moc_engine.models.animatic.lexicon import ACTIONS, CAMERAS, EXPRESSIONS, FRAMINGS
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, Scene, Track
from moc_engine.models.animatic.script import MOVING, NAMED, Actor, Look, Place, PropUse, ShotScript
from moc_engine.models.animatic.staging import stage
from moc_engine.models.animatic.staging.camera import stage_camera
from moc_engine.models.animatic.staging.faces import FACES
from moc_engine.models.animatic.timeline import Timeline

Values = NDArray[np.float64]

GREY: Final = np.array([0.7, 0.0, 0.0])
"""What colours are stored relative to, in OKLab."""

SAME_FILM: Final = 0.12
"""Camera moves that differ by no more, as latents, look the same: 1.5% of a wide frame's width."""

_MOTION: Final = {
    "near_hand": 1.0,
    "far_hand": 1.0,
    "roll": 1.0,
    "yaw": 1.0,
    "lift": 1.0,
    "squash": 2.0,
    "walk": 1.0,
    "run": 1.0,
    "sit": 1.0,
    "tuck": 1.0,
    "doze": 1.0,
}
"""The fields that tell actions apart, with their weights; the way along the stage comes beside them."""

_NOBODY: Final = Look(
    shape=0, accessory=None, body=(0.0, 0.0, 0.0), body_name="red", accent=(0.0, 0.0, 0.0), accent_name="blue"
)
_NOWHERE: Final = Place(kind=0, tint=(0.0, 0.0), layout=(0.0,) * 6)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a take shows of a character: shape, what it wears, linear colours, log2 of its size."""

    shape: int
    accessory: frozenset[int]
    body: Values
    accent: Values
    growth: float


def cast_of(take: Scene) -> dict[int, Track]:
    """The track that shows each cast member in a take; the first, should two show the same."""
    found: dict[int, Track] = {}
    for track in _present(take):
        found.setdefault(int(_end(track, "cast").argmax()), track)
    return found


def look(track: Track) -> Seen:
    """How a character looks at the end of a take."""
    return Seen(
        shape=int(_end(track, "shape").argmax()),
        accessory=frozenset(np.flatnonzero(_end(track, "accessory") > 0.5).tolist()),
        body=linear_from_lab(_end(track, "body") + GREY),
        accent=linear_from_lab(_end(track, "accent") + GREY),
        growth=float(_end(track, "growth")[0]),
    )


def count(take: Scene) -> int:
    """How many characters a take shows, whoever they are."""
    return len(_present(take))


def things(take: Scene) -> Iterator[tuple[int, Track]]:
    """The props in a take, by kind."""
    for track in take.props:
        if _end(track, "presence")[0] > 0.5:
            yield int(_end(track, "kind").argmax()), track


def place(take: Scene) -> tuple[int, Values, Values]:
    """A take's set, its tint and its layout, the latter two as latent numbers."""
    gains = {f.name: f.gain for f in take.set.fields}
    kind = int(take.set["kind"].mean(axis=0).argmax())
    tint, layout = (
        take.set[name].astype(np.float64).mean(axis=0) * gains[name] for name in ("tint", "layout")
    )
    return kind, tint, layout


def colour_name(linear: Values) -> str:
    """The named colour nearest to linear channels, by the distance in OKLab."""
    shown = lab_from_linear(linear)
    return min(NAMED, key=lambda name: float(((_named(name) - shown) ** 2).sum()))


@lru_cache
def _named(name: str) -> Values:
    """A named colour in OKLab, brought into the gamut as what is shown."""
    return lab_from_linear(linear_from_lab(lab_from_lch(NAMED[name])))


def action(track: Track, script: ShotScript, index: int) -> tuple[str, int]:
    """What actor `index` of a script does on a track, and which way it goes or faces (-1 left, +1 right)."""
    shown = motion(track)
    part = _Part(
        slot=CHARACTER_SLOTS.index(track.slot),
        actors=len(script.actors),
        frames=len(shown),
        growth=script.actors[index].look.growth,
        framing=script.framing,
        held=next((p.kind for p in script.props if p.actor == index and p.manner == "held"), None),
    )
    played = {(name, facing): _played(name, facing, part) for name in ACTIONS for facing in (-1, 1)}
    return min(played, key=lambda key: float(((shown - played[key]) ** 2).sum()))


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What beside the action decides how a character moves."""

    slot: int
    actors: int
    frames: int
    growth: float
    framing: str | None
    held: int | None


@lru_cache(maxsize=4096)
def _played(name: str, facing: int, part: _Part) -> Values:
    """The motion of an action as the world plays it."""
    actor = Actor(cast=0, action=name, direction=facing, look=replace(_NOBODY, growth=part.growth))
    script = ShotScript(
        place=_NOWHERE,
        actors=(actor,) * max(part.actors, part.slot + 1),
        props=() if part.held is None else (_in_hand(part.held, part.slot),),
        framing=part.framing,
    )
    scene = stage(script, part.frames, np.random.default_rng(0))
    return motion(Timeline(scene).drawn().characters[part.slot])


def _in_hand(kind: int, actor: int) -> PropUse:
    return PropUse(kind=kind, colour=(0.0, 0.0, 0.0), colour_name="red", manner="held", actor=actor)


def motion(track: Track) -> Values:
    """(F, M), frame by frame: the fields of `_MOTION`, and the way along the stage in body heights."""
    columns = [
        track[name].astype(np.float64).reshape(len(track[name]), -1) * weight
        for name, weight in _MOTION.items()
    ]
    x = track["x"].astype(np.float64)
    return np.concatenate([*columns, 4.0 * (x - x.mean())[:, None]], axis=1)


def expression(track: Track) -> str:
    """Which of the expressions a caption can ask for a face shows."""
    gains = {f.name: f.gain for f in track.fields}
    return min(
        EXPRESSIONS,
        key=lambda name: sum(
            ((float(track[part].mean()) - value) * gains[part]) ** 2 for part, value in FACES[name].items()
        ),
    )


def camera(take: Scene, script: ShotScript) -> frozenset[str]:
    """The camera move a take is nearest to, with all that its characters make the same to the eye.

    Who follows somebody that hardly moves holds still.
    """
    shown = _filmed(take)
    moves = {name: _filmed(_refilmed(take, script, name)) for name in CAMERAS}
    nearest = min(moves.values(), key=lambda move: float(((shown - move) ** 2).mean()))
    return frozenset(name for name, move in moves.items() if np.abs(move - nearest).max() <= SAME_FILM)


def _refilmed(take: Scene, script: ShotScript, move: str) -> Scene:
    """The script's characters, wherever they are, filmed as the world does."""
    scene = Scene(take.values.copy())
    shown = cast_of(take)
    for index, actor in enumerate(script.actors):
        if actor.cast in shown:
            scene.characters[index]["x"] = shown[actor.cast]["x"]
    stage_camera(scene, replace(script, camera=move))
    return scene


def _filmed(take: Scene) -> Values:
    """(F, 5): the camera's own numbers as latents, zoom from its mean."""
    track = take.camera
    gains = {f.name: f.gain for f in track.fields}
    columns = {
        name: track[name].astype(np.float64) * gains[name] for name in ("x", "y", "zoom", "shake", "roll")
    }
    columns["zoom"] = columns["zoom"] - columns["zoom"].mean()
    return np.stack(list(columns.values()), axis=1)


def framing(take: Scene, script: ShotScript) -> frozenset[str]:
    """The framings a take's mean zoom is nearest to; several where so many actors leave no choice."""
    zooms: dict[str, float] = {}
    for name in FRAMINGS:
        scene = _refilmed(take, replace(script, framing=name), script.camera or "static")
        zooms[name] = abs(float(scene.camera["zoom"].mean()) - float(take.camera["zoom"].mean()))
    least = min(zooms.values())
    return frozenset(name for name, distance in zooms.items() if distance <= least + 1e-6)


def goes_right(wanted: Actor, shown: tuple[str, int]) -> bool:
    """Whether a shown action and direction are those wanted; only walkers and runners go somewhere."""
    name, facing = shown
    return name == wanted.action and (
        name not in MOVING or not wanted.direction or facing == wanted.direction
    )


def _present(take: Scene) -> list[Track]:
    return [track for track in take.characters if _end(track, "presence")[0] > 0.5]


def _end(track: Track, name: str) -> Values:
    """A field's mean over the last third of the take, when an event in it is over."""
    values = track[name].astype(np.float64).reshape(len(track[name]), -1)
    mean: Values = values[-max(1, len(values) // 3) :].mean(axis=0)
    return mean
