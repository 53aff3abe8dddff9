"""Plays a script as a scene: where everyone stands, how they move, what the camera does.

Motion follows mid-century cartoon practice: anticipation, squash and stretch, follow-through.
Periods are chosen so that six latent frames a second catch them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.animatic.rasterizer.pose import REST_FAR, REST_NEAR
from moc_engine.animatic.scene import (
    BODY_HEIGHT,
    CHARACTER_SLOTS,
    PROPS,
    RUN_CYCLE,
    WALK_CYCLE,
    Array,
    Scene,
    Track,
    frame_times,
)
from moc_engine.animatic.script import Actor, PropUse, ShotScript

Times = NDArray[np.float64]

ZOOMS: Final = {None: 0.45, "wide": 0.0, "medium": 0.85, "closeup": 1.45}
"""log2 magnification of each framing; None is what a shot gets that does not say."""

WALK_RATE: Final = 1.1
RUN_RATE: Final = 1.6
"""Turns of the gait's phase per second."""

_CALM: Final = {
    "eye": 1.0,
    "lid": 0.0,
    "lid_tilt": 0.0,
    "brow": 0.0,
    "brow_lift": 0.0,
    "mouth_curve": 0.45,
    "mouth_open": 0.0,
    "mouth_width": 0.22,
    "teeth": 0.0,
    "pupil": 1.0,
    "tear": 0.0,
}
FACES: Final[dict[str, dict[str, float]]] = {
    "calm": _CALM,
    "happy": _CALM | {"mouth_curve": 1.0, "mouth_open": 0.75, "mouth_width": 0.34, "brow_lift": 0.03},
    "laughing": _CALM
    | {"eye": 0.0, "mouth_curve": 1.0, "mouth_open": 1.0, "mouth_width": 0.36, "brow_lift": 0.04},
    "sad": _CALM
    | {"lid": 0.22, "lid_tilt": -0.3, "brow": -0.42, "brow_lift": 0.02, "mouth_curve": -0.8, "tear": 1.0}
    | {"mouth_width": 0.24},
    "angry": _CALM
    | {"lid": 0.26, "lid_tilt": 0.35, "brow": 0.45, "brow_lift": -0.03, "mouth_curve": -0.3}
    | {"mouth_open": 0.35, "mouth_width": 0.3, "teeth": 1.0},
    "surprised": _CALM
    | {"eye": 1.28, "pupil": 0.62, "brow_lift": 0.08, "mouth_curve": 0.0, "mouth_open": 1.0}
    | {"mouth_width": 0.13},
    "sleepy": _CALM | {"lid": 0.55, "brow": -0.1, "mouth_curve": 0.1, "mouth_width": 0.16},
    "asleep": _CALM | {"eye": 0.0, "mouth_curve": 0.3, "mouth_width": 0.14},
}
_FACE_OF_ACTION: Final = {
    "jump": "happy",
    "dance": "laughing",
    "cheer": "laughing",
    "wave": "happy",
    "run": "happy",
    "sleep": "asleep",
    "fall": "surprised",
    "spin": "happy",
}


@dataclass(frozen=True)
class _Cue:
    """What an action's motion needs: the track it writes, the clock, and which way to face."""

    track: Track
    t: Times
    seconds: float
    facing: float  # +1 right, -1 left
    offset: float  # shifts periodic motion between slots, in turns
    scale: float  # of the body, from its growth

    def turn(self, rate: float, start: float = 0.0) -> Times:
        """An angle that turns `rate` times a second."""
        return 2 * np.pi * (rate * self.t + self.offset + start)

    def near(self, forward: Times | float, up: Times | float) -> None:
        self.track["near_hand"][:, 0] = forward
        self.track["near_hand"][:, 1] = up

    def far(self, forward: Times | float, up: Times | float) -> None:
        self.track["far_hand"][:, 0] = forward
        self.track["far_hand"][:, 1] = up


def stage(script: ShotScript, frames: int, rng: np.random.Generator) -> Scene:
    """The scene of a script over `frames` latent frames; `rng` gives the small chances of place."""
    scene = Scene.empty(frames)
    t = frame_times(frames)
    seconds = float(t[-1] + t[0])
    _stage_set(scene.set, script)
    zoom = framing_zoom(script)
    spots = _spots(len(script.actors), zoom) + rng.uniform(-0.03, 0.03, len(script.actors))
    for i, (actor, spot) in enumerate(zip(script.actors, spots, strict=True)):
        facing = float(actor.direction or (1.0 if spot <= 0.02 else -1.0))
        track = scene.characters[i]
        cue = _Cue(track, t, seconds, facing, 0.23 * i, 2.0**actor.look.growth)
        _stage_actor(cue, actor, float(spot), depth=(0.1, -0.35, 0.35)[i] + rng.uniform(-0.1, 0.1))
    for i, prop in enumerate(script.props):
        _stage_prop(scene, i, prop, script, t, seconds, rng)
    stage_camera(scene, script)
    return scene


def framing_zoom(script: ShotScript) -> float:
    """log2 of the magnification a shot has before its camera moves: nearer only while all are in it."""
    zoom = ZOOMS[script.framing]
    most = {0: 1.45, 1: 1.45, 2: 1.15, 3: 0.6}[len(script.actors)]
    return min(zoom, most)


def _spots(actors: int, zoom: float) -> NDArray[np.float64]:
    """Where actors stand, left to right, so that all of them are in the frame."""
    half = 2.0**-zoom
    if actors < 2:
        return np.zeros(actors)
    reach = np.clip(0.48 * half, 0.17, 0.34) if actors == 2 else np.clip(0.64 * half, 0.36, 0.5)
    return np.linspace(-reach, reach, actors)


def _stage_set(track: Track, script: ShotScript) -> None:
    track["kind"][:, script.place.kind] = 1.0
    track["tint"] = script.place.tint
    track["layout"] = script.place.layout


def _stage_actor(cue: _Cue, actor: Actor, spot: float, depth: float) -> None:
    track, look = cue.track, actor.look
    track["presence"] = 1.0
    track["cast"][:, actor.cast] = 1.0
    track["shape"][:, look.shape] = 1.0
    if look.accessory is not None:
        track["accessory"][:, look.accessory] = 1.0
    track["body"] = look.body
    track["accent"] = look.accent
    track["growth"] = look.growth
    track["x"] = spot
    track["depth"] = depth
    _face(track, actor.expression or _FACE_OF_ACTION.get(actor.action, "calm"))
    track["gaze"] = 0.15
    _angle(track, "yaw", np.full_like(cue.t, 0.0 if cue.facing > 0 else np.pi))
    _angle(track, "roll", np.zeros_like(cue.t))
    _angle(track, "phase", np.full_like(cue.t, 2 * np.pi * cue.offset))
    cue.near(*REST_NEAR)
    cue.far(*REST_FAR)
    _MOTIONS[actor.action](cue)
    if actor.event is not None:
        _play_event(cue, actor)


def _face(track: Track, name: str) -> None:
    for field, value in FACES[name].items():
        track[field] = value


def _angle(track: Track, name: str, radians: Times) -> None:
    track[name][:, 0] = np.cos(radians)
    track[name][:, 1] = np.sin(radians)


def smoothstep(u: Times | float) -> Times:
    u = np.clip(np.asarray(u, dtype=np.float64), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def _breathe(cue: _Cue, rate: float = 0.5, depth: float = 0.02) -> None:
    cue.track["squash"] = depth * np.sin(cue.turn(rate))


def _stand(cue: _Cue) -> None:
    _breathe(cue)


def _travel(cue: _Cue, rate: float, cycle: float) -> None:
    speed = rate * cycle * BODY_HEIGHT * cue.scale
    cue.track["x"] += (cue.facing * speed * (cue.t - cue.seconds / 2)).astype(np.float32)
    _angle(cue.track, "phase", cue.turn(rate))


def _walk(cue: _Cue) -> None:
    cue.track["walk"] = 1.0
    _travel(cue, WALK_RATE, WALK_CYCLE)
    _angle(cue.track, "roll", np.full_like(cue.t, cue.facing * np.deg2rad(5.0)))


def _run(cue: _Cue) -> None:
    cue.track["run"] = 1.0
    _travel(cue, RUN_RATE, RUN_CYCLE)
    _angle(cue.track, "roll", np.full_like(cue.t, cue.facing * np.deg2rad(15.0)))


def _jump(cue: _Cue) -> None:
    u = (cue.t / 1.2 + cue.offset) % 1.0
    crouch = np.where(u < 0.22, np.sin(np.pi * u / 0.22), 0.0)
    air = np.clip((u - 0.22) / 0.58, 0.0, 1.0)
    flying = (u >= 0.22) & (u < 0.8)
    lift = np.where(flying, 4 * air * (1 - air), 0.0)
    speed = np.where(flying, np.abs(1 - 2 * air), 0.0)
    settle = np.where(u >= 0.8, np.exp(-3.2 * (u - 0.8) / 0.2) * np.cos(5.5 * (u - 0.8) / 0.2), 0.0)
    cue.track["lift"] = 1.05 * lift
    cue.track["squash"] = 0.26 * crouch - 0.2 * speed**1.3 + 0.24 * settle
    cue.track["tuck"] = lift
    up = smoothstep(lift * 1.5)
    cue.near(0.5 + 0.05 * up, -0.12 + 0.62 * up)
    cue.far(-0.5 - 0.05 * up, -0.12 + 0.62 * up)


def _spin(cue: _Cue) -> None:
    angle = cue.turn(0.7) * cue.facing + (0.0 if cue.facing > 0 else np.pi)
    _angle(cue.track, "yaw", angle)
    cue.track["lift"] = 0.06 * np.abs(np.sin(cue.turn(0.7)))
    cue.near(0.62, 0.18)
    cue.far(-0.62, 0.18)


def _wave(cue: _Cue) -> None:
    _breathe(cue)
    arc = np.sin(cue.turn(1.25))
    cue.near(0.56 + 0.13 * arc, 0.6 - 0.06 * np.abs(arc))
    _angle(cue.track, "roll", np.deg2rad(2.5) * np.sin(cue.turn(0.625)))


def _sit(cue: _Cue) -> None:
    _breathe(cue)
    cue.track["sit"] = smoothstep(cue.t / 0.5)
    cue.near(0.46, -0.3)
    cue.far(-0.46, -0.3)


def _sleep(cue: _Cue) -> None:
    _breathe(cue, 0.3, 0.035)
    cue.track["sit"] = 1.0
    cue.track["doze"] = 1.0
    _angle(cue.track, "roll", -cue.facing * np.deg2rad(9.0 + 2.0 * np.sin(cue.turn(0.3))))
    cue.near(0.44, -0.3)
    cue.far(-0.46, -0.3)


def _dance(cue: _Cue) -> None:
    swing = np.sin(cue.turn(1.0))
    cue.track["x"] += (0.1 * BODY_HEIGHT * swing).astype(np.float32)
    cue.track["lift"] = 0.1 * np.abs(np.sin(cue.turn(1.0, 0.25)))
    cue.track["squash"] = 0.06 * np.cos(2 * cue.turn(1.0))
    _angle(cue.track, "roll", np.deg2rad(12.0) * swing)
    cue.near(0.56, 0.15 + 0.45 * swing)
    cue.far(-0.56, 0.15 - 0.45 * swing)


def _fall(cue: _Cue) -> None:
    start = 0.3 * cue.seconds
    u = np.clip((cue.t - start) / 0.55, 0.0, None)
    tipped = np.where(
        u < 1.0, u**2, 1.0 - 0.09 * np.exp(-3.0 * (u - 1)) * np.abs(np.sin(np.pi * (u - 1) * 1.4))
    )
    _angle(cue.track, "roll", -cue.facing * tipped * np.deg2rad(86.0))
    cue.track["lift"] = 0.35 * np.where(u < 1.0, 4 * u * (1 - u), 0.0)
    wobble = np.where(cue.t < start, np.sin(2 * np.pi * cue.t * 1.4), 0.0)
    out = smoothstep(cue.t / 0.4)
    cue.near(0.5 + 0.1 * out, -0.12 + out * (0.5 + 0.12 * wobble))
    cue.far(-0.5 - 0.1 * out, -0.12 + out * (0.5 - 0.12 * wobble))


def _cheer(cue: _Cue) -> None:
    hop = np.abs(np.sin(cue.turn(0.75)))
    cue.track["lift"] = 0.28 * hop
    cue.track["squash"] = 0.1 * (1 - hop) ** 2 - 0.05 * hop
    cue.track["tuck"] = 0.4 * hop
    cue.near(0.46, 0.62 + 0.06 * hop)
    cue.far(-0.46, 0.62 + 0.06 * hop)


def _bow(cue: _Cue) -> None:
    u = (cue.t / 2.2) % 1.0
    down = smoothstep(u / 0.3) * smoothstep((0.95 - u) / 0.3)
    _angle(cue.track, "roll", cue.facing * np.deg2rad(32.0) * down)
    cue.track["squash"] = 0.05 * down
    cue.near(0.5 - 0.25 * down, -0.12 - 0.02 * down)
    cue.far(-0.5 - 0.1 * down, -0.12 + 0.3 * down)


def _float(cue: _Cue) -> None:
    cue.track["lift"] = 0.75 + 0.16 * np.sin(cue.turn(0.4))
    cue.track["tuck"] = 0.55
    _angle(cue.track, "roll", np.deg2rad(7.0) * np.sin(cue.turn(0.4, 0.2)))
    cue.near(0.6, 0.22 + 0.1 * np.sin(cue.turn(0.8)))
    cue.far(-0.6, 0.22 + 0.1 * np.sin(cue.turn(0.8)))


def _look(cue: _Cue) -> None:
    _breathe(cue)
    swing = np.sin(cue.turn(0.4, -cue.offset))
    ahead = 0.0 if cue.facing > 0 else np.pi
    turned = smoothstep(0.5 + 1.2 * -swing)
    _angle(cue.track, "yaw", ahead + np.pi * turned * (1 if cue.facing > 0 else -1))
    cue.track["gaze"] = 0.8 * np.abs(swing)


_MOTIONS: Final[dict[str, Callable[[_Cue], None]]] = {
    "stand": _stand,
    "walk": _walk,
    "run": _run,
    "jump": _jump,
    "spin": _spin,
    "wave": _wave,
    "sit": _sit,
    "sleep": _sleep,
    "dance": _dance,
    "fall": _fall,
    "cheer": _cheer,
    "bow": _bow,
    "float": _float,
    "look": _look,
}


def _play_event(cue: _Cue, actor: Actor) -> None:
    """The change of look: it begins at a third of the shot and is done before two thirds."""
    track, event, t = cue.track, actor.event, cue.t
    assert event is not None
    start = 0.33 * cue.seconds
    done = smoothstep((t - start) / max(0.3, 0.25 * cue.seconds))
    before, after = actor.look, actor.after
    if before.accessory != after.accessory:
        if before.accessory is not None:
            track["accessory"][:, before.accessory] = 1.0 - smoothstep(2 * done)
        if after.accessory is not None:
            track["accessory"][:, after.accessory] = (
                smoothstep(2 * done - 1) if before.accessory is not None else done
            )
        reach = 4 * done * (1 - done)
        cue.near(0.5 - 0.14 * reach, -0.12 + 0.66 * reach)
        cue.far(-0.5 + 0.14 * reach, -0.12 + 0.66 * reach)
    track["body"] = (1 - done)[:, None] * np.array(before.body) + done[:, None] * np.array(after.body)
    if after.growth != before.growth:
        u = np.clip((t - start) / 1.1, 0.0, None)
        swell = 1.0 - np.exp(-5.0 * u) * np.cos(11.0 * u)
        track["growth"] = before.growth + (after.growth - before.growth) * swell
    if actor.expression is None:
        _face(track, "sad" if event.kind == "loses" else "happy")


_CARRY_NEAR: Final = {"umbrella": (0.46, 0.2), "balloon": (0.5, 0.25), "kite": (0.5, 0.3)}
_FREE_LIFT: Final = {"balloon": 1.9, "kite": 3.0}
"""How high in H things hang in the sky of a wide shot; nearer shots show less of it."""
_FRONT: Final = 0.55


def _stage_prop(
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
    _angle(track, "roll", np.zeros_like(t))
    airborne = _FREE_LIFT.get(name, 0.0) * 2.0 ** -framing_zoom(script)
    sway = np.sin(2 * np.pi * (0.35 * t + 0.2 * slot))
    if prop.manner == "lies":
        side = -1.0 if rng.random() < 0.5 else 1.0
        near = 0.62 * 2.0 ** -framing_zoom(script)
        track["x"] = (side * near + rng.uniform(-0.04, 0.04)) + (0.02 * sway if airborne else 0.0)
        track["depth"] = 0.7
        track["lift"] = airborne + (0.08 * sway if airborne else 0.0)
        if airborne:
            _angle(track, "roll", 0.1 * sway)
        return
    assert prop.actor is not None
    holder = scene.track(CHARACTER_SLOTS[prop.actor])
    facing = np.sign(float(holder["yaw"][0, 0])) or 1.0
    hand_x = holder["x"] + facing * _FRONT * BODY_HEIGHT
    track["depth"] = holder["depth"]
    if prop.manner == "held":
        track["held"][:, prop.actor] = 1.0
        _carry(holder, name)
        track["x"] = hand_x
        track["lift"] = holder["lift"] + 0.5
        if name == "kite":
            track["x"] = holder["x"] + facing * (0.34 + 0.03 * sway)
            track["lift"] = airborne + 0.15 * sway
            _angle(track, "roll", facing * 0.25 + 0.15 * sway)
        return
    _throw(track, holder, prop.actor, hand_x, facing, t, seconds)


def _carry(holder: Track, name: str) -> None:
    """The near hand holds the thing up or before the body, unless the action has it raised."""
    forward, up = _CARRY_NEAR.get(name, (0.52, 0.0))
    raised = holder["near_hand"][:, 1] > up
    holder["near_hand"][:, 0] = np.where(raised, holder["near_hand"][:, 0], forward)
    holder["near_hand"][:, 1] = np.maximum(holder["near_hand"][:, 1], up)


def _throw(
    track: Track, holder: Track, actor: int, hand_x: Array, facing: float, t: Times, seconds: float
) -> None:
    """Hand back, hand forward, let go; the thing flies a parabola, bounces once and lies."""
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
    _angle(track, "roll", facing * 2.5 * (flight + 0.3 * bounce))


def stage_camera(scene: Scene, script: ShotScript) -> None:
    """Films a scene as its script says, whoever is in it and wherever they go; light and weather too."""
    camera, zoom, t = scene.camera, framing_zoom(script), frame_times(len(scene))
    seconds = float(t[-1] + t[0])
    move = script.camera or "static"
    along = smoothstep((t - 0.25) / max(0.3, seconds - 0.5))
    half = 2.0**-zoom
    subject = np.zeros_like(t)
    if script.actors:
        subject = np.mean([scene.characters[i]["x"] for i in range(len(script.actors))], axis=0)
    travelled = float(np.ptp(subject)) / 2
    share = 1.0 if move == "follow" else float(np.clip(1.0 - 0.45 * half / max(travelled, 1e-6), 0.0, 1.0))
    x = subject.mean() + share * (subject - subject.mean())
    if move in ("pan_left", "pan_right"):
        x = x + (1 if move == "pan_right" else -1) * 0.5 * half * (along - 0.5)
    zooming = {"zoom_in": (-0.25, 0.3), "zoom_out": (0.3, -0.25)}.get(move, (0.0, 0.0))
    tilting = {"tilt_up": (0.0, 0.3), "tilt_down": (0.3, 0.0)}.get(move, (0.0, 0.0))
    camera["x"] = x
    camera["zoom"] = np.maximum(zoom + zooming[0] + (zooming[1] - zooming[0]) * along, 0.0)
    camera["y"] = half * (tilting[0] + (tilting[1] - tilting[0]) * along)
    camera["shake"] = 1.0 if move == "shake" else 0.0
    camera["roll"] = 0.05 * np.sin(2 * np.pi * 0.3 * t) if move == "sway" else 0.0
    for amount in ("sunset", "night"):
        camera[amount] = 1.0 if script.time == amount else 0.0
    for amount, word in (("rain", "rain"), ("snow", "snowfall"), ("fog", "fog"), ("wind", "wind")):
        camera[amount] = 1.0 if script.weather == word else 0.0
