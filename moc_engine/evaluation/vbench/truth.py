"""How well the measures that need no weights rank drawn stories whose faults are known.

Shots of held-out stories are drawn with known faults (`spoiled`): looks and sets that change from shot to
shot, frames that tremble, and motion at another speed. Spearman's correlation between what is measured and
what is true, over all shots of all stories, with intervals over whole stories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch

from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.measures.correlation import Estimate, over_stories
from moc_engine.evaluation.measures.reading import Values
from moc_engine.evaluation.questions.identity import subjects
from moc_engine.evaluation.vbench.definitions import Floats, similarities
from moc_engine.evaluation.vbench.optical_flow import flow_lengths, flow_smoothness, is_moving
from moc_engine.evaluation.vbench.palette import palette
from moc_engine.evaluation.vbench.spoiled import (
    MOST_SPEED,
    MOST_TREMBLING,
    RATE,
    drifting,
    motion,
    painted,
    trembling,
)
from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.scene import LATENT_RATE, Scene
from moc_engine.models.animatic.world import Story
from moc_engine.models.backbone import Backbone
from moc_engine.render.portraits import portraits

TRUTHS: Final[Mapping[str, str]] = {
    "cast_consistency": "how little a character's look differs from before",
    "palette_consistency": "how little the set differs from before",
    "flow_smoothness": "how little frames tremble",
    "flow_movement": "how fast the fastest thing moves",
    "flow_moving": "how fast the fastest thing moves",
}
"""What each measure is compared with."""

SAMPLED: Final = 8
"""Frames per second that are drawn to measure movement."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Spearman's correlation of a measure with the truth over `cases`."""

    measure: str
    truth: str
    cases: int
    correlation: Estimate


def agreements(
    backbone: Backbone, settings: EvaluationSettings, *, report: Callable[[int], None] = lambda done: None
) -> tuple[Agreement, ...]:
    """Measures the stories; `backbone` is an animatic model, whose portraits are compared.

    Calls `report` with the number of finished stories.
    """
    cases: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for number in range(settings.stories):
        story, rng = settings.story(number), np.random.default_rng((settings.seed, number, 1))
        plates = PlateCache()
        scenes = drifting(story, rng)
        found = [
            *_looks(backbone, story, scenes),
            *_sets(scenes, plates),
            *(case for shot in story.shots for case in _motion(shot.scene, plates, rng)),
        ]
        for measure, measured, true in found:
            cases[measure].append((measured, true, number))
        report(number + 1)
    return tuple(
        Agreement(
            measure=measure,
            truth=truth,
            cases=len(cases[measure]),
            correlation=over_stories(*np.array(cases[measure]).reshape(-1, 3).T),
        )
        for measure, truth in TRUTHS.items()
    )


Case = tuple[str, float, float]
"""The measure, what it says, and what is true."""


def _looks(backbone: Backbone, story: Story, scenes: list[Scene]) -> list[Case]:
    """A case for each appearance, after the first, of a character that a caption names."""
    vectors: dict[str, list[Floats]] = defaultdict(list)
    looks: dict[str, list[Values]] = defaultdict(list)
    for shot, scene in zip(story.shots, scenes, strict=True):
        latents = torch.from_numpy(scene.to_latents()).permute(2, 0, 1)[..., None].contiguous()
        true = {
            story.cast[name]: look for subject, name, _, look in subjects(scene) if subject == "character"
        }
        for portrait in portraits(
            backbone, latents, global_caption=story.global_caption, caption=shot.caption, cast=story.cast
        ):
            if portrait.name in true:
                vectors[portrait.name].append(portrait.vector.numpy())
                looks[portrait.name].append(true[portrait.name])
    return [case for name in vectors for case in _compared("cast_consistency", vectors[name], looks[name])]


def _sets(scenes: list[Scene], plates: PlateCache) -> list[Case]:
    """A case for each shot after the first."""
    looks = [look for scene in scenes for subject, _, _, look in subjects(scene) if subject == "set"]
    colours = []
    for scene in scenes:
        seconds = len(scene) / LATENT_RATE
        colours.append(palette(painted(scene, (0.1 * seconds, 0.5 * seconds, 0.9 * seconds), plates)))
    return list(_compared("palette_consistency", colours, looks))


def _compared(measure: str, vectors: list[Floats], looks: list[Values]) -> list[Case]:
    """Each but the first compared with the one before and with the first, in features and in truth."""
    if len(vectors) < 2:
        return []
    same = similarities(np.stack(vectors))
    apart = [
        (np.abs(look - before).sum() + np.abs(look - looks[0]).sum()) / 2 for before, look in pairwise(looks)
    ]
    return [(measure, one, -float(other)) for one, other in zip(same, apart, strict=True)]


def _motion(scene: Scene, plates: PlateCache, rng: np.random.Generator) -> list[Case]:
    """The first half of a shot, trembling, and as much of it at another speed."""
    seconds = len(scene) / LATENT_RATE / 2
    amount, speed = rng.uniform(0.0, MOST_TREMBLING), rng.uniform(0.0, MOST_SPEED)
    frames = painted(scene, [at / RATE for at in range(round(seconds * RATE))], plates)
    smooth = flow_smoothness(trembling(frames, amount, rng))
    moved = painted(scene, [speed * at / SAMPLED for at in range(round(seconds * SAMPLED))], plates)
    lengths = flow_lengths(moved, SAMPLED)
    true = speed * motion(scene, speed * seconds)
    return [
        ("flow_smoothness", smooth, -float(amount)),
        ("flow_movement", float(np.mean(lengths)), true),
        ("flow_moving", float(is_moving(lengths)), true),
    ]
