"""Do takes move as smoothly as the world?

Second differences of poses are compared with those of the world's own scene of the same script, per field and
character, so that a trembling character does not compensate for a stiff one.

`METRICS`: roughness is the takes' amount of change relative to the world's, counting what exceeds it (1:
never rougher). liveliness is the share of the world's amount that takes reach (1: never stiffer). slip is how
far the feet of a walker or runner slide over the ground, relative to the distance that the legs or the body
cover, whichever is longer (1: glides, or walks on the spot).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from moc_engine.evaluation.measures.reading import Values, cast_of, motion
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.scene import BODY_HEIGHT, RUN_CYCLE, WALK_CYCLE, Scene, Track
from moc_engine.models.animatic.script import MOVING
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story

METRICS: Final = ("roughness", "liveliness", "slip")
MIN_DISTANCE: Final = 0.05
"""In half frame widths: a character that moves less neither walks nor runs."""
_CYCLES: Final = {"walk": WALK_CYCLE, "run": RUN_CYCLE}


def score(story: Story, takes: Sequence[Scene], scores: Scores) -> None:
    """Adds to `scores` how the takes of one story move."""
    upper = lower = expected = 0.0
    for shot, take in zip(story.shots, takes, strict=True):
        tracks, own = cast_of(take), Timeline(shot.scene).drawn().characters
        for index, actor in enumerate(shot.script.actors):
            track = tracks.get(actor.cast)
            if track is None:
                continue
            shown, wanted = _changes(track), _changes(own[index])
            upper += float(np.maximum(shown, wanted).sum())
            lower += float(np.minimum(shown, wanted).sum())
            expected += float(wanted.sum())
            if actor.action in MOVING and actor.event is None:
                scores.add("slip", _slip(track, _CYCLES[actor.action], actor.look.growth))
    if expected > 0.0:
        scores.add("roughness", upper / expected)
        scores.add("liveliness", lower / expected)


def _changes(track: Track) -> Values:
    """(M,): the absolute second difference of each pose field, summed over the frames."""
    change: Values = np.abs(np.diff(motion(track), n=2, axis=0)).sum(axis=0)
    return change


def _slip(track: Track, cycle: float, growth: float) -> float:
    """|distance by the legs - distance moved|, summed over the frames, relative to the longer distance."""
    cosine, sine = (track["phase"][:, i].astype(np.float64) for i in (0, 1))
    turns: Values = np.diff(np.unwrap(np.arctan2(sine, cosine))) / (2 * np.pi)
    facing = 1.0 if float(track["yaw"][:, 0].mean()) > 0 else -1.0
    by_legs = facing * turns * cycle * BODY_HEIGHT * 2.0**growth
    moved = np.diff(track["x"].astype(np.float64))
    distance = max(np.abs(by_legs).sum(), np.abs(moved).sum())
    return float(np.abs(by_legs - moved).sum() / distance) if distance > MIN_DISTANCE else 1.0
