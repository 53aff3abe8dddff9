"""Shots of the drawn world that are spoiled by known amounts: other looks and sets, trembling, other speed.

Shapes: F latent frames, S slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from moc_engine.clip import Frame
from moc_engine.evaluation.measures.reading import cast_of
from moc_engine.models.animatic.rasterizer.blocking import boxes
from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.rasterizer.stage import Stage
from moc_engine.models.animatic.scene import ACCESSORIES, LATENT_RATE, SHAPES, Scene
from moc_engine.models.animatic.script import sample_look, sample_place
from moc_engine.models.animatic.world import Story

SIZE: Final = (256, 144)
RATE: Final = 24
MOST_TREMBLING: Final = 2.0
"""Pixels of `SIZE`: the standard deviation of a frame's place."""
MOST_SPEED: Final = 2.0
"""Times as fast as the world moves."""


def drifting(story: Story, rng: np.random.Generator) -> list[Scene]:
    """The scenes of a story in which looks and sets change, each member's by an amount of its own.

    Every appearance after the first has colours mixed with those of another look, up to it, and, as likely as
    the amount, its shape and accessory. Sets get another tint and layout likewise.
    """
    scenes = [Scene(shot.scene.values.copy()) for shot in story.shots]
    amounts: dict[tuple[str, int], float] = {}
    for scene in scenes:
        for member, track in cast_of(scene).items():
            amount = amounts.get(("cast", member))
            amounts.setdefault(("cast", member), rng.uniform())
            if amount is None:
                continue
            other = sample_look(rng)
            for name, colour in (("body", other.body), ("accent", other.accent)):
                track[name] = (1.0 - amount) * track[name] + amount * np.asarray(colour)
            if rng.uniform() < amount:
                track["shape"] = np.eye(len(SHAPES))[other.shape]
            if rng.uniform() < amount:
                worn = (
                    np.zeros(len(ACCESSORIES))
                    if other.accessory is None
                    else np.eye(len(ACCESSORIES))[other.accessory]
                )
                track["accessory"] = worn
        kind = int(scene.set["kind"].mean(axis=0).argmax())
        amount = amounts.get(("set", kind))
        amounts.setdefault(("set", kind), rng.uniform())
        if amount is not None:
            place = sample_place(rng, kind)
            for name, value in (("tint", place.tint), ("layout", place.layout)):
                scene.set[name] = (1.0 - amount) * scene.set[name] + amount * np.asarray(value)
    return scenes


def painted(scene: Scene, times: Sequence[float], cache: PlateCache) -> list[Frame]:
    """Frames of a scene at these seconds, blue, green, red as OpenCV reads them."""
    stage = Stage(scene, SIZE, cache)
    return [cv2.cvtColor(stage.picture(time), cv2.COLOR_RGB2BGR) for time in times]


def trembling(frames: Sequence[Frame], amount: float, rng: np.random.Generator) -> list[Frame]:
    """The frames, each moved by a random distance whose standard deviation is `amount` pixels."""
    places = rng.normal(scale=amount, size=(len(frames), 2)) if amount else np.zeros((len(frames), 2))
    return [
        np.asarray(
            cv2.warpAffine(
                frame,
                np.array([[1.0, 0.0, x], [0.0, 1.0, y]]),
                SIZE,
                None,
                cv2.INTER_LINEAR,
                cv2.BORDER_REFLECT,
            ),
            dtype=np.uint8,
        )
        for frame, (x, y) in zip(frames, places, strict=True)
    ]


def motion(scene: Scene, seconds: float) -> float:
    """How fast the fastest thing in the picture moves until `seconds`, in frame widths per second.

    The mean speed of the edge of a character's or prop's box that moves most, or of the picture's edge by
    the camera.
    """
    frames = min(len(scene), max(2, round(seconds * LATENT_RATE)))
    found = boxes(scene, SIZE)[:frames]
    shown = (found != 0.0).any(axis=2)
    steps = np.abs(np.diff(found, axis=0)) * np.array([1.0, SIZE[1] / SIZE[0]] * 2)
    steps = steps.max(axis=2) * (shown[1:] & shown[:-1])
    camera = scene.camera
    scale = 2.0 ** camera["zoom"].astype(np.float64)[: frames - 1] / 2
    path = [np.diff(camera[name].astype(np.float64)[:frames]) for name in ("x", "y", "zoom")]
    panned = np.hypot(path[0], path[1]) * scale + np.abs(path[2]) * np.log(2.0) / 2
    return float(max(steps.mean(axis=0).max(), panned.mean())) * LATENT_RATE
