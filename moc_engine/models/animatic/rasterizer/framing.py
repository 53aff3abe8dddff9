"""The camera's path through a shot: the scene's camera, corrected to keep faces in the frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.view import FEET, STAGE_UNIT, View
from moc_engine.models.animatic.scene import (
    BODY_HEIGHT,
    CHARACTER_SLOTS,
    LATENT_RATE,
    Scene,
    Track,
    frame_times,
)
from moc_engine.models.animatic.timeline import Timeline

Floats = NDArray[np.float64]

_HEADROOM: Final = 1.4  # H from the feet to above the face
_JUMP_SHARE: Final = 0.6  # share of a jump's height that a close-up leaves room for
_HALF_BODY: Final = 0.15  # in stage units, with an arm
_SMOOTHING_SECONDS: Final = 0.5  # seconds over which corrections of the camera are smoothed
_SHAKE_AMPLITUDE: Final = 0.007  # amplitude in stage units
_SAFE_WIDTH: Final = 0.8  # share of half the frame's width within which characters are kept
_LARGEST_TILT: Final = 0.19  # in stage units at zoom 0; more would move the faces out of the frame


class Framing:
    """Computes the `View` at any time of a timeline, for frames of `size` (width, height).

    `frames` is the number of the timeline's latent frames; `horizon` is the set's row of the horizon.
    """

    def __init__(self, timeline: Timeline, frames: int, size: tuple[int, int], horizon: float) -> None:
        self._timeline = timeline
        self._times = frame_times(frames)
        values = np.stack([timeline.at(float(t)) for t in self._times])
        scene = Scene(values)
        roll = float(np.abs(scene.camera["roll"]).max())
        width, height = size
        margin = int(np.ceil(roll * max(width, height) / 2)) + 2 if roll > 1e-4 else 0
        self._frame = View(width=width, height=height, margin=margin, horizon=horizon)
        self._limit = self._largest_zoom(scene)
        self._rise = self._vertical_correction(scene)
        self._aside = self._horizontal_correction(scene)
        self.is_static = all(timeline.is_constant(name) for name in ("x", "y", "zoom", "shake")) and not (
            scene.camera["shake"].any() or np.ptp(self._rise) or np.ptp(self._aside)
        )

    def at(self, time: float) -> View:
        camera = Track(self._timeline.at(time)[None, 0], 0)
        shake = float(camera["shake"][0]) * _SHAKE_AMPLITUDE
        jolt = np.sin(2 * np.pi * (np.array([5.3, 8.1, 4.7, 7.3]) * time + np.array([0.0, 0.3, 0.6, 0.1])))
        rise = float(np.interp(time, self._times, self._rise))
        aside = float(np.interp(time, self._times, self._aside))
        zoom = min(float(camera["zoom"][0]), self._limit)
        return replace(
            self._frame,
            x=(float(camera["x"][0]) + aside) * self._frame.gather + shake * float(jolt[0] + 0.6 * jolt[1]),
            y=float(np.clip(camera["y"][0], -_LARGEST_TILT * 2.0**-zoom, _LARGEST_TILT * 2.0**-zoom))
            + rise
            + shake * float(jolt[2] + 0.6 * jolt[3]),
            zoom=zoom,
        )

    def roll(self, time: float) -> float:
        """The rotation of the picture in radians."""
        return float(self._timeline.at(time)[0, 3])

    def path(self, seconds: float) -> list[View]:
        """Views sampled over the shot, dense enough to cover all that the camera shows."""
        count = 1 if self.is_static else max(2, int(np.ceil(seconds * 4 * LATENT_RATE)) + 1)
        return [self.at(float(t)) for t in np.linspace(0.0, seconds, count)]

    def _largest_zoom(self, scene: Scene) -> float:
        """The largest zoom at which jumps fit the height and, in narrow frames, all actors the width."""
        present = [actor for actor in scene.characters if actor["presence"].mean() > 0.5]
        if not present:
            return np.inf
        tall = max(
            float((_JUMP_SHARE * actor["lift"] + _HEADROOM * np.exp2(actor["growth"])).max())
            for actor in present
        )
        pixels = tall * BODY_HEIGHT * STAGE_UNIT * self._frame.unit
        limit = float(np.log2(0.94 * self._frame.height / pixels))
        if self._frame.reach < 1.0:
            apart = [float(np.median(np.abs(actor["x"] - scene.camera["x"]))) for actor in present]
            limit = min(
                limit, float(np.log2(self._frame.reach / (max(apart) * self._frame.gather + _HALF_BODY)))
            )
        return max(-0.5, limit)

    def _horizontal_correction(self, scene: Scene) -> Floats:
        """The camera's horizontal correction per latent frame that keeps all characters in the picture."""
        there = [actor for actor in scene.characters if actor["presence"].mean() > 0.5]
        if not there:
            return np.zeros(len(scene))
        x, camera = np.stack([actor["x"] for actor in there]), scene.camera["x"]
        half = _SAFE_WIDTH * self._frame.reach * np.exp2(-np.minimum(scene.camera["zoom"], self._limit))
        least, most = x.max(axis=0) - half, x.min(axis=0) + half
        kept = np.where(least <= most, np.clip(camera, least, np.maximum(least, most)), x.mean(axis=0))
        aside = (kept - camera).astype(np.float64)
        return _smoothed(aside) if np.ptp(aside) else aside

    def _vertical_correction(self, scene: Scene) -> Floats:
        """The camera's upward correction per latent frame that keeps the faces of jumpers in the picture."""
        needed = np.zeros(len(scene))
        body = BODY_HEIGHT * STAGE_UNIT
        for slot in CHARACTER_SLOTS:
            actor = scene.track(slot)
            tall = (actor["lift"] + _HEADROOM * np.exp2(actor["growth"]) * (1.0 - 0.25 * actor["sit"])) * body
            for i in range(len(scene)):
                view = replace(
                    self._frame,
                    margin=0,
                    y=float(scene.camera["y"][i]),
                    zoom=min(float(scene.camera["zoom"][i]), self._limit),
                )
                at = view.placement(1.0)
                row = at.y + at.scale * (FEET - float(tall[i]))
                short = 0.03 * view.height - row
                if actor["presence"][i] > 0.5 and short > 0.0:
                    needed[i] = max(needed[i], short / (at.scale * STAGE_UNIT))
        if not needed.any():
            return needed
        smooth = _smoothed(needed)
        return np.full_like(smooth, smooth.mean()) if np.ptp(smooth) < 0.02 else smooth


def _smoothed(values: Floats) -> Floats:
    """Values smoothed over time with a Gaussian of `_SMOOTHING_SECONDS`, so that the camera does not jump."""
    offsets = np.arange(len(values)) / (_SMOOTHING_SECONDS * LATENT_RATE)
    weights = np.exp(-0.5 * (offsets[:, None] - offsets[None]) ** 2)
    smooth: Floats = (weights @ values) / weights.sum(axis=1)
    return smooth
