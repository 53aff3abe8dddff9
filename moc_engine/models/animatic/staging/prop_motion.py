"""Stages props: lying on the ground, held or thrown."""

from __future__ import annotations

from typing import Final

import numpy as np

from moc_engine.models.animatic.scene import BODY_HEIGHT, CHARACTER_SLOTS, PROPS, Array, Scene, Track
from moc_engine.models.animatic.script import PropUse, ShotScript
from moc_engine.models.animatic.staging.camera import framing_zoom, nearest_zoom
from moc_engine.models.animatic.staging.easing import Times, set_angle, smoothstep

_HOLDING_HAND: Final = {"umbrella": (0.46, 0.2), "balloon": (0.5, 0.25), "kite": (0.5, 0.3)}
_FREE_LIFT: Final = {"balloon": 1.9, "kite": 3.0}
"""The lift in H of free balloons and kites in a wide shot; lower in nearer shots, which show less sky."""
_AIRBORNE_DEPTH: Final = -0.6
"""The depth of props in the air, behind the faces."""
_HAND_DISTANCE: Final = 0.55


def stage_prop(
    scene: Scene,
    slot: int,
    prop: PropUse,
    script: ShotScript,
    t: Times,
    seconds: float,
    rng: np.random.Generator,
) -> None:
    track, name = scene.props[slot], PROPS[prop.kind]
    track["presence"] = 1.0
    track["kind"][:, prop.kind] = 1.0
    track["colour"] = prop.colour
    track["size"] = 1.0
    set_angle(track, "roll", np.zeros_like(t))
    airborne = _FREE_LIFT.get(name, 0.0) * 2.0 ** -nearest_zoom(script)
    sway = np.sin(2 * np.pi * (0.35 * t + 0.2 * slot))
    if prop.manner == "lies":
        side = -1.0 if rng.random() < 0.5 else 1.0
        near = 0.62 * 2.0 ** -framing_zoom(script)
        track["x"] = (side * near + rng.uniform(-0.04, 0.04)) + (0.02 * sway if airborne else 0.0)
        track["depth"] = _AIRBORNE_DEPTH if airborne else 0.7
        track["lift"] = airborne + (0.08 * sway if airborne else 0.0)
        if airborne:
            set_angle(track, "roll", 0.1 * sway)
        return
    assert prop.actor is not None
    holder = scene.track(CHARACTER_SLOTS[prop.actor])
    facing = np.sign(float(holder["yaw"][0, 0])) or 1.0
    hand_x = holder["x"] + facing * _HAND_DISTANCE * BODY_HEIGHT
    track["depth"] = _AIRBORNE_DEPTH if name == "kite" else holder["depth"]
    if prop.manner == "held":
        track["held"][:, prop.actor] = 1.0
        _carry(holder, name)
        track["x"] = hand_x
        track["lift"] = holder["lift"] + 0.5
        if name == "kite":
            track["x"] = holder["x"] + facing * (0.34 + 0.03 * sway)
            track["lift"] = airborne + 0.15 * sway
            set_angle(track, "roll", facing * 0.25 + 0.15 * sway)
        return
    _throw(track, holder, prop.actor, hand_x, facing, t, seconds)


def _carry(holder: Track, name: str) -> None:
    """Moves the near hand up or in front of the body to hold a prop, unless the action raises it higher."""
    forward, up = _HOLDING_HAND.get(name, (0.52, 0.0))
    raised = holder["near_hand"][:, 1] > up
    holder["near_hand"][:, 0] = np.where(raised, holder["near_hand"][:, 0], forward)
    holder["near_hand"][:, 1] = np.maximum(holder["near_hand"][:, 1], up)


def _throw(
    track: Track, holder: Track, actor: int, hand_x: Array, facing: float, t: Times, seconds: float
) -> None:
    """Stages a throw: wind-up, release, flight along a parabola, one bounce and rest."""
    release = 0.35 * seconds
    wind_up = smoothstep((t - release + 0.5) / 0.3) * (1 - smoothstep((t - release + 0.2) / 0.2))
    follow = smoothstep((t - release + 0.2) / 0.2) * (1 - smoothstep((t - release - 0.5) / 0.4))
    holder["near_hand"][:, 0] = 0.5 - 0.6 * wind_up + 0.12 * follow
    holder["near_hand"][:, 1] = 0.0 + 0.3 * wind_up + 0.45 * follow
    track["held"][:, actor] = 1.0 - smoothstep((t - release + 0.08) / 0.16)
    flight = np.clip((t - release) / 0.8, 0.0, 1.0)
    bounce = np.clip((t - release - 0.8) / 0.4, 0.0, 1.0)
    track["x"] = hand_x + facing * (0.3 * flight + 0.05 * bounce)
    track["lift"] = (0.9 * (1 - flight) + 3.2 * flight * (1 - flight)) + 0.8 * bounce * (1 - bounce)
    set_angle(track, "roll", facing * 2.5 * (flight + 0.3 * bounce))
