"""Reads a take: who is in it, how they look, what they do and how the camera moves.

Takes are scenes as the codec draws them (`Timeline.drawn`). Looks and sets are read directly. Actions,
expressions and camera moves are classified: each candidate is staged as the world stages it, and the one
nearest to the take, frame by frame, is the result.
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
"""The OKLab colour that stored colours are relative to."""

COLOUR_TOLERANCE: Final = 0.1
"""Colours that differ by less look the same: mean absolute difference of linear channels, 0–1."""

GROWTH_TOLERANCE: Final = 0.25
"""Sizes that differ by less look the same, in log2."""

CAMERA_TOLERANCE: Final = 0.12
"""Camera moves that differ by no more look the same, in latent units: 1.5% of a wide frame's width."""

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
"""The fields that distinguish actions, with their weights; the position along the stage is added to them."""

_PLACEHOLDER: Final = Look(
    shape=0, accessory=None, body=(0.0, 0.0, 0.0), body_name="red", accent=(0.0, 0.0, 0.0), accent_name="blue"
)
_EMPTY_SET: Final = Place(kind=0, tint=(0.0, 0.0), layout=(0.0,) * 6)


@dataclass(frozen=True, kw_only=True)
class ObservedLook:
    """A character's look in a take: shape, accessories, linear colours, log2 of its size."""

    shape: int
    accessory: frozenset[int]
    body: Values
    accent: Values
    growth: float


def cast_of(take: Scene) -> dict[int, Track]:
    """The track of each cast member in a take; the first one if two tracks show the same member."""
    found: dict[int, Track] = {}
    for track in _present(take):
        found.setdefault(int(_end(track, "cast").argmax()), track)
    return found


def look(track: Track) -> ObservedLook:
    """A character's look at the end of a take."""
    return ObservedLook(
        shape=int(_end(track, "shape").argmax()),
        accessory=frozenset(np.flatnonzero(_end(track, "accessory") > 0.5).tolist()),
        body=linear_from_lab(_end(track, "body") + GREY),
        accent=linear_from_lab(_end(track, "accent") + GREY),
        growth=float(_end(track, "growth")[0]),
    )


def count(take: Scene) -> int:
    """The number of characters in a take."""
    return len(_present(take))


def props(take: Scene) -> Iterator[tuple[int, Track]]:
    """The props in a take: kind and track."""
    for track in take.props:
        if _end(track, "presence")[0] > 0.5:
            yield int(_end(track, "kind").argmax()), track


def place(take: Scene) -> tuple[int, Values, Values]:
    """The kind of a take's set, its tint and its layout, the latter two in latent units."""
    gains = {f.name: f.gain for f in take.set.fields}
    kind = int(take.set["kind"].mean(axis=0).argmax())
    tint, layout = (
        take.set[name].astype(np.float64).mean(axis=0) * gains[name] for name in ("tint", "layout")
    )
    return kind, tint, layout


def colour_name(linear: Values) -> str:
    """The named colour nearest to linear channels, by distance in OKLab."""
    shown = lab_from_linear(linear)
    return min(NAMED, key=lambda name: float(((_named(name) - shown) ** 2).sum()))


@lru_cache
def _named(name: str) -> Values:
    """A named colour in OKLab, clipped to the gamut as shown colours are."""
    return lab_from_linear(linear_from_lab(lab_from_lch(NAMED[name])))


def action(track: Track, script: ShotScript, index: int) -> tuple[str, int]:
    """The action of actor `index` of a script on a track, and its direction (-1 left, +1 right)."""
    shown = motion(track)
    role = _Role(
        slot=CHARACTER_SLOTS.index(track.slot),
        actors=len(script.actors),
        frames=len(shown),
        growth=script.actors[index].look.growth,
        framing=script.framing,
        held=next((p.kind for p in script.props if p.actor == index and p.manner == "held"), None),
    )
    candidates = {(name, facing): _staged(name, facing, role) for name in ACTIONS for facing in (-1, 1)}
    return min(candidates, key=lambda key: float(((shown - candidates[key]) ** 2).sum()))


@dataclass(frozen=True, kw_only=True)
class _Role:
    """What else than the action determines how a character moves."""

    slot: int
    actors: int
    frames: int
    growth: float
    framing: str | None
    held: int | None


@lru_cache(maxsize=4096)
def _staged(name: str, facing: int, role: _Role) -> Values:
    """The motion of an action as the world stages it."""
    actor = Actor(cast=0, action=name, direction=facing, look=replace(_PLACEHOLDER, growth=role.growth))
    script = ShotScript(
        place=_EMPTY_SET,
        actors=(actor,) * max(role.actors, role.slot + 1),
        props=() if role.held is None else (_in_hand(role.held, role.slot),),
        framing=role.framing,
    )
    scene = stage(script, role.frames, np.random.default_rng(0))
    return motion(Timeline(scene).drawn().characters[role.slot])


def _in_hand(kind: int, actor: int) -> PropUse:
    return PropUse(kind=kind, colour=(0.0, 0.0, 0.0), colour_name="red", manner="held", actor=actor)


def motion(track: Track) -> Values:
    """(F, M): the fields of `_MOTION` and the position along the stage in body heights, frame by frame."""
    columns = [
        track[name].astype(np.float64).reshape(len(track[name]), -1) * weight
        for name, weight in _MOTION.items()
    ]
    x = track["x"].astype(np.float64)
    return np.concatenate([*columns, 4.0 * (x - x.mean())[:, None]], axis=1)


def expression(track: Track) -> str:
    """The expression that a face shows, of those that captions can name."""
    gains = {f.name: f.gain for f in track.fields}
    return min(
        EXPRESSIONS,
        key=lambda name: sum(
            ((float(track[part].mean()) - value) * gains[part]) ** 2 for part, value in FACES[name].items()
        ),
    )


def camera(take: Scene, script: ShotScript) -> frozenset[str]:
    """The camera move nearest to a take, and all moves that look the same with these characters.

    Following a character that hardly moves looks like a static camera.
    """
    shown = _camera_path(take)
    moves = {name: _camera_path(_with_camera(take, script, name)) for name in CAMERAS}
    nearest = min(moves.values(), key=lambda move: float(((shown - move) ** 2).mean()))
    return frozenset(name for name, move in moves.items() if np.abs(move - nearest).max() <= CAMERA_TOLERANCE)


def _with_camera(take: Scene, script: ShotScript, move: str) -> Scene:
    """The take's scene with the camera that the world gives the script, following the take's characters."""
    scene = Scene(take.values.copy())
    shown = cast_of(take)
    for index, actor in enumerate(script.actors):
        if actor.cast in shown:
            scene.characters[index]["x"] = shown[actor.cast]["x"]
    stage_camera(scene, replace(script, camera=move))
    return scene


def _camera_path(take: Scene) -> Values:
    """(F, 5): the camera's values in latent units, zoom relative to its mean."""
    track = take.camera
    gains = {f.name: f.gain for f in track.fields}
    columns = {
        name: track[name].astype(np.float64) * gains[name] for name in ("x", "y", "zoom", "shake", "roll")
    }
    columns["zoom"] = columns["zoom"] - columns["zoom"].mean()
    return np.stack(list(columns.values()), axis=1)


def framing(take: Scene, script: ShotScript) -> frozenset[str]:
    """The framings nearest to a take's mean zoom; several if the number of actors makes them equal."""
    zooms: dict[str, float] = {}
    for name in FRAMINGS:
        scene = _with_camera(take, replace(script, framing=name), script.camera or "static")
        zooms[name] = abs(float(scene.camera["zoom"].mean()) - float(take.camera["zoom"].mean()))
    least = min(zooms.values())
    return frozenset(name for name, distance in zooms.items() if distance <= least + 1e-6)


def matches_action(wanted: Actor, shown: tuple[str, int]) -> bool:
    """Whether an action and its direction are as scripted; only walking and running have a direction."""
    name, facing = shown
    return name == wanted.action and (
        name not in MOVING or not wanted.direction or facing == wanted.direction
    )


def _present(take: Scene) -> list[Track]:
    return [track for track in take.characters if _end(track, "presence")[0] > 0.5]


def _end(track: Track, name: str) -> Values:
    """A field's mean over the last third of the take, after any event in it."""
    values = track[name].astype(np.float64).reshape(len(track[name]), -1)
    mean: Values = values[-max(1, len(values) // 3) :].mean(axis=0)
    return mean
