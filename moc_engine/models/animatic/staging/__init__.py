"""Staging: turns a script into a scene with positions, motions and the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.pose import REST_FAR, REST_NEAR
from moc_engine.models.animatic.scene import Scene, Track, frame_times
from moc_engine.models.animatic.script import Actor, ShotScript
from moc_engine.models.animatic.staging.camera import framing_zoom, stage_camera
from moc_engine.models.animatic.staging.easing import set_angle
from moc_engine.models.animatic.staging.faces import FACE_OF_ACTION, make_face
from moc_engine.models.animatic.staging.motions import MOTIONS, Cue, stage_event
from moc_engine.models.animatic.staging.prop_motion import stage_prop


def stage(script: ShotScript, frames: int, rng: np.random.Generator) -> Scene:
    """The scene of a script over `frames` latent frames; `rng` varies positions slightly."""
    scene = Scene.empty(frames)
    t = frame_times(frames)
    seconds = float(t[-1] + t[0])
    _stage_set(scene.set, script)
    zoom = framing_zoom(script)
    spots = _positions(len(script.actors), zoom)
    about = rng.uniform(-0.03, 0.03, len(script.actors))
    for i, (actor, spot) in enumerate(zip(script.actors, spots, strict=True)):
        facing = float(actor.direction or (1.0 if spot <= 0.0 else -1.0))
        track = scene.characters[i]
        cue = Cue(track, t, seconds, facing, 0.23 * i, 2.0**actor.look.growth, zoom)
        _stage_actor(cue, actor, float(spot + about[i]), depth=(0.1, -0.35, 0.35)[i] + rng.uniform(-0.1, 0.1))
    for i, prop in enumerate(script.props):
        stage_prop(scene, i, prop, script, t, seconds, rng)
    stage_camera(scene, script)
    return scene


def _positions(actors: int, zoom: float) -> NDArray[np.float64]:
    """The x positions of actors from left to right, with all of them in the frame."""
    half = 2.0**-zoom
    if actors < 2:
        return np.zeros(actors)
    reach = np.clip(0.48 * half, 0.17, 0.34) if actors == 2 else np.clip(0.64 * half, 0.36, 0.5)
    return np.linspace(-reach, reach, actors)


def _stage_set(track: Track, script: ShotScript) -> None:
    track["kind"][:, script.place.kind] = 1.0
    track["tint"] = script.place.tint
    track["layout"] = script.place.layout


def _stage_actor(cue: Cue, actor: Actor, spot: float, depth: float) -> None:
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
    make_face(track, actor.expression or FACE_OF_ACTION.get(actor.action, "calm"))
    track["gaze"] = 0.15
    set_angle(track, "yaw", np.full_like(cue.t, 0.0 if cue.facing > 0 else np.pi))
    set_angle(track, "roll", np.zeros_like(cue.t))
    set_angle(track, "phase", np.full_like(cue.t, 2 * np.pi * cue.offset))
    cue.near(*REST_NEAR)
    cue.far(*REST_FAR)
    MOTIONS[actor.action](cue)
    if actor.event is not None:
        stage_event(cue, actor)
