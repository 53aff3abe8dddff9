"""Do takes move as the world does?

Second differences of poses are compared with those of the world's own scene of the same script, field by
field for each character, so that one that trembles is not made up for by another that is stiff.

`METRICS`: roughness is the share of what the world has, with all that takes have beyond it (1: nowhere
rougher); liveliness the share of it that they have (1: nowhere stiffer). slip is how far a walker's or
runner's feet slide over the ground, over the way that its legs make or that it goes, whichever is longer (1:
it glides, or treads on the spot).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from moc_engine.evaluation.measures.outcomes import Outcomes
from moc_engine.evaluation.measures.reading import Values, cast_of, motion
from moc_engine.models.animatic.scene import BODY_HEIGHT, RUN_CYCLE, WALK_CYCLE, Scene, Track
from moc_engine.models.animatic.script import MOVING
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story

METRICS: Final = ("roughness", "liveliness", "slip")
LEAST_WAY: Final = 0.05
"""In half frame widths: who goes no further neither walks nor runs."""
_CYCLES: Final = {"walk": WALK_CYCLE, "run": RUN_CYCLE}


def examine(story: Story, takes: Sequence[Scene], found: Outcomes) -> None:
    """Adds to `found` how the takes of one story move."""
    most = least = drawn = 0.0
    for shot, take in zip(story.shots, takes, strict=True):
        tracks, own = cast_of(take), Timeline(shot.scene).drawn().characters
        for index, actor in enumerate(shot.script.actors):
            track = tracks.get(actor.cast)
            if track is None:
                continue
            shown, wanted = _changes(track), _changes(own[index])
            most += float(np.maximum(shown, wanted).sum())
            least += float(np.minimum(shown, wanted).sum())
            drawn += float(wanted.sum())
            if actor.action in MOVING and actor.event is None:
                found.add("slip", _slip(track, _CYCLES[actor.action], actor.look.growth))
    if drawn > 0.0:
        found.add("roughness", most / drawn)
        found.add("liveliness", least / drawn)


def _changes(track: Track) -> Values:
    """(M,): how much each field of a pose changes its course, summed over the frames."""
    change: Values = np.abs(np.diff(motion(track), n=2, axis=0)).sum(axis=0)
    return change


def _slip(track: Track, cycle: float, growth: float) -> float:
    """|way that the legs make - way gone|, summed over the frames, over the longer of the two."""
    cosine, sine = (track["phase"][:, i].astype(np.float64) for i in (0, 1))
    turned: Values = np.diff(np.unwrap(np.arctan2(sine, cosine))) / (2 * np.pi)
    facing = 1.0 if float(track["yaw"][:, 0].mean()) > 0 else -1.0
    made = facing * turned * cycle * BODY_HEIGHT * 2.0**growth
    gone = np.diff(track["x"].astype(np.float64))
    way = max(np.abs(made).sum(), np.abs(gone).sum())
    return float(np.abs(made - gone).sum() / way) if way > LEAST_WAY else 1.0
