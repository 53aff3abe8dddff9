"""Stages the camera, light and weather of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from moc_engine.models.animatic.scene import Array, Scene, Track, frame_times
from moc_engine.models.animatic.script import ShotScript
from moc_engine.models.animatic.staging.easing import smoothstep

ZOOMS: Final = {None: 0.45, "wide": 0.0, "medium": 0.85, "closeup": 1.45}
"""The log2 magnification of each framing; None is for shots without a framing."""

_ZOOM_MOVES: Final = {"zoom_in": (-0.25, 0.3), "zoom_out": (0.3, -0.25)}
"""The zoom that a zooming camera adds at the start and at the end of the shot."""

_HALF_WIDTH: Final = 0.17
"""Half the width of a character of the usual size, in stage units."""

_LARGEST_STAY: Final = 0.3
"""The travel in stage units below which a character counts as staying in place."""


def framing_zoom(script: ShotScript) -> float:
    """The log2 magnification of a shot without travelling actors, limited so that all are in the frame."""
    zoom = ZOOMS[script.framing]
    most = {0: 1.45, 1: 1.45, 2: 1.15, 3: 0.6}[len(script.actors)]
    return min(zoom, most)


def nearest_zoom(script: ShotScript) -> float:
    """The largest log2 magnification during the shot."""
    return max(framing_zoom(script) + max(_ZOOM_MOVES.get(script.camera or "", (0.0,))), 0.0)


def stage_camera(scene: Scene, script: ShotScript) -> None:
    """Writes the camera slot of a staged scene: camera move, framing, light and weather."""
    camera, t = scene.camera, frame_times(len(scene))
    subject, reach = _subject_range(scene, len(script.actors))
    zoom = max(min(framing_zoom(script), -float(np.log2(reach))), 0.0)
    seconds = float(t[-1] + t[0])
    move = script.camera or "static"
    along = smoothstep((t - 0.25) / max(0.3, seconds - 0.5))
    half = 2.0**-zoom
    travelled = float(np.ptp(subject)) / 2
    lag = 0.0 if move == "follow" else min(0.45 * half, max(half - reach, 0.0))
    share = float(np.clip(1.0 - lag / max(travelled, 1e-6), 0.0, 1.0))
    x = subject.mean() + share * (subject - subject.mean())
    if move in ("pan_left", "pan_right"):
        x = x + (1 if move == "pan_right" else -1) * 0.5 * half * (along - 0.5)
    zooming = _ZOOM_MOVES.get(move, (0.0, 0.0))
    tilting = {"tilt_up": (0.0, 0.3), "tilt_down": (0.3, 0.0)}.get(move, (0.0, 0.0))
    camera["x"] = x
    camera["zoom"] = np.maximum(zoom + zooming[0] + (zooming[1] - zooming[0]) * along, 0.0)
    camera["y"] = _headroom(zoom) + half * (tilting[0] + (tilting[1] - tilting[0]) * along)
    camera["shake"] = 1.0 if move == "shake" else 0.0
    camera["roll"] = 0.05 * np.sin(2 * np.pi * 0.3 * t) if move == "sway" else 0.0
    for amount in ("sunset", "night"):
        camera[amount] = 1.0 if script.time == amount else 0.0
    for amount, word in (("rain", "rain"), ("snow", "snowfall"), ("fog", "fog"), ("wind", "wind")):
        camera[amount] = 1.0 if script.weather == word else 0.0


def _subject_range(scene: Scene, actors: int) -> tuple[Array, float]:
    """The middle of the actors to film, per frame, and their largest distance from it, in stage units.

    These are all actors; if they move too far apart for one frame, only those who stay in place.
    """
    tracks = scene.characters[:actors]
    if not tracks:
        return np.zeros(len(scene), dtype=np.float32), _HALF_WIDTH
    middle, reach = _middle_and_reach(tracks)
    staying = [track for track in tracks if np.ptp(track["x"]) < _LARGEST_STAY]
    return (middle, reach) if reach <= 1.0 or not staying else _middle_and_reach(staying)


def _middle_and_reach(tracks: Sequence[Track]) -> tuple[Array, float]:
    x = np.stack([track["x"] for track in tracks])
    size = max(2.0 ** float(track["growth"].max()) for track in tracks)
    return (x.min(axis=0) + x.max(axis=0)) / 2, float(np.ptp(x, axis=0).max()) / 2 + _HALF_WIDTH * size


def _headroom(zoom: float) -> float:
    """By how much a near camera is raised to show headwear."""
    return 0.05 * float(smoothstep((zoom - 0.85) / 0.6))
