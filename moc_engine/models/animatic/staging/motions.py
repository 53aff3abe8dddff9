"""The motion of each action, and the change of a look by an event.

Motion follows the principles of cartoon animation: anticipation, squash and stretch, follow-through.
Periods are long enough to be sampled at six latent frames per second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from moc_engine.models.animatic.scene import BODY_HEIGHT, RUN_CYCLE, WALK_CYCLE, Track
from moc_engine.models.animatic.script import Actor
from moc_engine.models.animatic.staging.easing import Times, set_angle, smoothstep
from moc_engine.models.animatic.staging.faces import make_face

WALK_RATE: Final = 1.1
RUN_RATE: Final = 1.6
"""The number of gait cycles per second, as for `WALK_RATE`."""


@dataclass(frozen=True)
class Cue:
    """The inputs of an action's motion: the track to write, the frame times, the direction and others."""

    track: Track
    t: Times
    seconds: float
    facing: float  # +1 right, -1 left
    offset: float  # shifts periodic motion between slots, in turns
    scale: float  # of the body, from its growth
    zoom: float  # of the frame, log2; a larger zoom leaves less room for jumps

    def turn(self, rate: float, start: float = 0.0) -> Times:
        """An angle that makes `rate` turns per second."""
        return 2 * np.pi * (rate * self.t + self.offset + start)

    def near(self, forward: Times | float, up: Times | float) -> None:
        self.track["near_hand"][:, 0] = forward
        self.track["near_hand"][:, 1] = up

    def far(self, forward: Times | float, up: Times | float) -> None:
        self.track["far_hand"][:, 0] = forward
        self.track["far_hand"][:, 1] = up


def _breathe(cue: Cue, rate: float = 0.5, depth: float = 0.02) -> None:
    cue.track["squash"] = depth * np.sin(cue.turn(rate))


def _stand(cue: Cue) -> None:
    _breathe(cue)


def _travel(cue: Cue, rate: float, cycle: float) -> None:
    speed = rate * cycle * BODY_HEIGHT * cue.scale
    cue.track["x"] += (cue.facing * speed * (cue.t - cue.seconds / 2)).astype(np.float32)
    set_angle(cue.track, "phase", cue.turn(rate))


def _walk(cue: Cue) -> None:
    cue.track["walk"] = 1.0
    _travel(cue, WALK_RATE, WALK_CYCLE)
    set_angle(cue.track, "roll", np.full_like(cue.t, cue.facing * np.deg2rad(5.0)))


def _run(cue: Cue) -> None:
    cue.track["run"] = 1.0
    _travel(cue, RUN_RATE, RUN_CYCLE)
    set_angle(cue.track, "roll", np.full_like(cue.t, cue.facing * np.deg2rad(15.0)))


def _jump(cue: Cue) -> None:
    u = (cue.t / 1.2 + cue.offset) % 1.0
    crouch = np.where(u < 0.22, np.sin(np.pi * u / 0.22), 0.0)
    air = np.clip((u - 0.22) / 0.58, 0.0, 1.0)
    flying = (u >= 0.22) & (u < 0.8)
    lift = np.where(flying, 4 * air * (1 - air), 0.0)
    speed = np.where(flying, np.abs(1 - 2 * air), 0.0)
    settle = np.where(u >= 0.8, np.exp(-3.2 * (u - 0.8) / 0.2) * np.cos(5.5 * (u - 0.8) / 0.2), 0.0)
    cue.track["lift"] = 1.05 * min(1.0, 1.25 * 2.0**-cue.zoom) * lift
    cue.track["squash"] = 0.26 * crouch - 0.2 * speed**1.3 + 0.24 * settle
    cue.track["tuck"] = lift
    up = smoothstep(lift * 1.5)
    cue.near(0.5 + 0.05 * up, -0.12 + 0.62 * up)
    cue.far(-0.5 - 0.05 * up, -0.12 + 0.62 * up)


def _spin(cue: Cue) -> None:
    angle = cue.turn(0.7) * cue.facing + (0.0 if cue.facing > 0 else np.pi)
    set_angle(cue.track, "yaw", angle)
    cue.track["lift"] = 0.06 * np.abs(np.sin(cue.turn(0.7)))
    cue.near(0.62, 0.18)
    cue.far(-0.62, 0.18)


def _wave(cue: Cue) -> None:
    _breathe(cue)
    arc = np.sin(cue.turn(1.25))
    cue.near(0.56 + 0.13 * arc, 0.6 - 0.06 * np.abs(arc))
    set_angle(cue.track, "roll", np.deg2rad(2.5) * np.sin(cue.turn(0.625)))


def _sit(cue: Cue) -> None:
    _breathe(cue)
    cue.track["sit"] = smoothstep(cue.t / 0.5)
    cue.near(0.46, -0.3)
    cue.far(-0.46, -0.3)


def _sleep(cue: Cue) -> None:
    _breathe(cue, 0.3, 0.035)
    cue.track["sit"] = 1.0
    cue.track["doze"] = 1.0
    set_angle(cue.track, "roll", -cue.facing * np.deg2rad(9.0 + 2.0 * np.sin(cue.turn(0.3))))
    cue.near(0.44, -0.3)
    cue.far(-0.46, -0.3)


def _dance(cue: Cue) -> None:
    swing = np.sin(cue.turn(1.0))
    cue.track["x"] += (0.1 * BODY_HEIGHT * swing).astype(np.float32)
    cue.track["lift"] = 0.1 * np.abs(np.sin(cue.turn(1.0, 0.25)))
    cue.track["squash"] = 0.06 * np.cos(2 * cue.turn(1.0))
    set_angle(cue.track, "roll", np.deg2rad(12.0) * swing)
    cue.near(0.56, 0.15 + 0.45 * swing)
    cue.far(-0.56, 0.15 - 0.45 * swing)


def _fall(cue: Cue) -> None:
    start = 0.3 * cue.seconds
    u = np.clip((cue.t - start) / 0.55, 0.0, None)
    tipped = np.where(
        u < 1.0, u**2, 1.0 - 0.09 * np.exp(-3.0 * (u - 1)) * np.abs(np.sin(np.pi * (u - 1) * 1.4))
    )
    set_angle(cue.track, "roll", -cue.facing * tipped * np.deg2rad(86.0))
    cue.track["lift"] = 0.35 * np.where(u < 1.0, 4 * u * (1 - u), 0.0)
    wobble = np.where(cue.t < start, np.sin(2 * np.pi * cue.t * 1.4), 0.0)
    out = smoothstep(cue.t / 0.4)
    cue.near(0.5 + 0.1 * out, -0.12 + out * (0.5 + 0.12 * wobble))
    cue.far(-0.5 - 0.1 * out, -0.12 + out * (0.5 - 0.12 * wobble))


def _cheer(cue: Cue) -> None:
    hop = np.abs(np.sin(cue.turn(0.75)))
    cue.track["lift"] = 0.28 * hop
    cue.track["squash"] = 0.1 * (1 - hop) ** 2 - 0.05 * hop
    cue.track["tuck"] = 0.4 * hop
    cue.near(0.46, 0.62 + 0.06 * hop)
    cue.far(-0.46, 0.62 + 0.06 * hop)


def _bow(cue: Cue) -> None:
    u = (cue.t / 2.2) % 1.0
    down = smoothstep(u / 0.3) * smoothstep((0.95 - u) / 0.3)
    set_angle(cue.track, "roll", cue.facing * np.deg2rad(32.0) * down)
    cue.track["squash"] = 0.05 * down
    cue.near(0.5 - 0.25 * down, -0.12 - 0.02 * down)
    cue.far(-0.5 - 0.1 * down, -0.12 + 0.3 * down)


def _float(cue: Cue) -> None:
    cue.track["lift"] = 0.75 + 0.16 * np.sin(cue.turn(0.4))
    cue.track["tuck"] = 0.55
    set_angle(cue.track, "roll", np.deg2rad(7.0) * np.sin(cue.turn(0.4, 0.2)))
    cue.near(0.6, 0.22 + 0.1 * np.sin(cue.turn(0.8)))
    cue.far(-0.6, 0.22 + 0.1 * np.sin(cue.turn(0.8)))


def _look(cue: Cue) -> None:
    _breathe(cue)
    swing = np.sin(cue.turn(0.4, -cue.offset))
    ahead = 0.0 if cue.facing > 0 else np.pi
    turned = smoothstep(0.5 + 1.2 * -swing)
    set_angle(cue.track, "yaw", ahead + np.pi * turned * (1 if cue.facing > 0 else -1))
    cue.track["gaze"] = 0.8 * np.abs(swing)


MOTIONS: Final[dict[str, Callable[[Cue], None]]] = {
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


def stage_event(cue: Cue, actor: Actor) -> None:
    """Writes an event's change of look: from one third to before two thirds of the shot."""
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
        make_face(track, "sad" if event.kind == "loses" else "happy")
