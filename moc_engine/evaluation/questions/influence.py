"""Does a take's share of attention predict how much a shot would change without it?

Held-out stories are generated shot by shot. Then each context shot of each shot is banned in turn, the shot
is generated again from the same noise, and the change is measured (`change`). The values that a trace offers
(`predictors`) are compared with it: by rank over all pairs of shot and context shot, by rank within each
shot, and as a threshold, the way the studio uses one.

Attention need not be influence: what a shot drew from one take, another take may hold as well, and then
nothing changes without the first (Jain and Wallace, "Attention is not Explanation", 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.evaluation.generation.leave_one_out import ShotVariants, leave_one_out
from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.measures.change import PARTS, Change, Comparison
from moc_engine.evaluation.measures.correlation import (
    Estimate,
    auc_over_stories,
    mean_over_stories,
    over_stories,
    ratio_over_stories,
    within_groups,
)
from moc_engine.evaluation.measures.predictors import CONTEXT_SHARE, LARGEST_SHOWN, baselines, predictors
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.world import Story
from moc_engine.models.backbone import Backbone

BATCH: Final = 5
"""Stories generated at once, at most: with the variants of a late shot that is a batch of 80."""

THRESHOLDS: Final = (0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
CALIBRATED: Final = (CONTEXT_SHARE, LARGEST_SHOWN)
"""The predictors that are tried as thresholds."""

TARGET_RECALL: Final = 0.9
"""The recall of visible changes at which `Prediction.precision` is measured."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A shot and one of its context shots: the predictors of the trace, and the change without the latter.

    Shots count from 0.
    """

    story: int
    shot: int
    source: int
    predicted: dict[str, float]
    change: Change

    @property
    def share(self) -> float:
        """The context shot's share of the attention given to the context, 0–1."""
        return self.predicted[CONTEXT_SHARE]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How well one value predicts changes.

    Spearman's correlation with the change of the scene and of the pixels, over all pairs and within shots;
    the AUC of telling visible changes (`auc`) and changes visible in the scene (`scene_auc`) from others; and
    the precision of the threshold that reaches `TARGET_RECALL` of the visible changes.
    """

    name: str
    scene: Estimate
    pixels: Estimate
    scene_within: Estimate
    pixels_within: Estimate
    auc: Estimate
    scene_auc: Estimate
    precision: float


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A predictor used as a threshold.

    `flagged` is the share of pairs at or above it; precision and recall are for visible changes, and
    `scene_precision` and `scene_recall` for those visible in a named part of the scene.
    """

    name: str
    least: float
    flagged: float
    precision: Estimate
    recall: Estimate
    scene_precision: Estimate
    scene_recall: Estimate


@dataclass(frozen=True, kw_only=True)
class Influence:
    """All results; `parts` holds how often each part of a scene changed visibly, 0–1."""

    pairs: int
    visible: Estimate
    seen_in_scene: float
    seen_in_pixels: float
    parts: dict[str, float]
    predictions: tuple[Prediction, ...]
    thresholds: tuple[Threshold, ...]


def measure(
    backbone: Backbone,
    settings: EvaluationSettings,
    *,
    pairs: int | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> list[Pair]:
    """Generates the stories and every variant; calls `report` with the number of finished stories.

    Of `settings.generation` routing, sampler and seed are used; the router is MoC. At most `pairs` context
    shots of a shot are banned (None: each). Raises `ValueError` for `pairs` below 1.
    """
    found: list[Pair] = []
    generation = settings.generation
    for start in range(0, settings.stories, BATCH):
        numbers = range(start, min(start + BATCH, settings.stories))
        stories = [settings.story(number) for number in numbers]
        for variants in leave_one_out(
            backbone,
            stories,
            numbers=numbers,
            routing=generation.routing,
            sampler=generation.sampler,
            seed=generation.seed,
            pairs=pairs,
        ):
            found.extend(pairs_of(stories[variants.story - start], variants))
        report(numbers.stop)
    return found


def pairs_of(story: Story, variants: ShotVariants) -> Iterator[Pair]:
    """A shot paired with each context shot that it was generated without."""
    if variants.trace is None:
        return
    comparison = Comparison(Scene.from_latents(variants.take))
    predicted = predictors(variants.trace) | baselines(variants.shot, _common(story, variants.shot))
    for source, values in variants.without.items():
        yield Pair(
            story=variants.story,
            shot=variants.shot,
            source=source,
            predicted={name: by_shot[source] for name, by_shot in predicted.items()},
            change=comparison.with_take(Scene.from_latents(values)),
        )


def study(pairs: Sequence[Pair]) -> Influence:
    """All results. Raises `ValueError` without pairs: stories need two shots."""
    if not pairs:
        raise ValueError("shots: must be 2 or more, for a shot to have a context")
    stories = np.array([pair.story for pair in pairs])
    visible = np.array([pair.change.visible for pair in pairs])
    return Influence(
        pairs=len(pairs),
        visible=mean_over_stories(visible.tolist(), stories),
        seen_in_scene=float(np.mean([pair.change.seen_in_scene for pair in pairs])),
        seen_in_pixels=float(np.mean([pair.change.seen_in_pixels for pair in pairs])),
        parts={
            name: float(np.mean([pair.change.parts[name] >= least for pair in pairs]))
            for name, least in PARTS.items()
        },
        predictions=tuple(_prediction(name, pairs) for name in pairs[0].predicted),
        thresholds=tuple(_threshold(name, least, pairs) for name in CALIBRATED for least in THRESHOLDS),
    )


def _threshold(name: str, least: float, pairs: Sequence[Pair]) -> Threshold:
    stories = np.array([pair.story for pair in pairs])
    flagged = np.array([pair.predicted[name] >= least for pair in pairs])
    visible = np.array([pair.change.visible for pair in pairs])
    in_scene = np.array([pair.change.seen_in_scene for pair in pairs])
    return Threshold(
        name=name,
        least=least,
        flagged=float(flagged.mean()),
        precision=ratio_over_stories(visible, flagged, stories),
        recall=ratio_over_stories(flagged, visible, stories),
        scene_precision=ratio_over_stories(in_scene, flagged, stories),
        scene_recall=ratio_over_stories(flagged, in_scene, stories),
    )


def _prediction(name: str, pairs: Sequence[Pair]) -> Prediction:
    values = np.array([pair.predicted[name] for pair in pairs])
    scene, pixels = (np.array([getattr(p.change, kind) for p in pairs]) for kind in ("scene", "pixels"))
    visible = np.array([pair.change.visible for pair in pairs])
    in_scene = np.array([pair.change.seen_in_scene for pair in pairs])
    stories = np.array([pair.story for pair in pairs])
    shots = stories * (1 + max(pair.shot for pair in pairs)) + np.array([pair.shot for pair in pairs])
    return Prediction(
        name=name,
        scene=over_stories(values, scene, stories),
        pixels=over_stories(values, pixels, stories),
        scene_within=within_groups(values, scene, shots, stories),
        pixels_within=within_groups(values, pixels, shots, stories),
        auc=auc_over_stories(values, visible, stories),
        scene_auc=auc_over_stories(values, in_scene, stories),
        precision=_precision(values, visible),
    )


def _precision(values: NDArray[np.float64], visible: NDArray[np.bool_]) -> float:
    """The precision of the highest threshold that reaches `TARGET_RECALL`; NaN without visible changes."""
    if not visible.any():
        return float("nan")
    caught = np.sort(values[visible])[::-1]
    least = caught[int(np.ceil(TARGET_RECALL * len(caught))) - 1]
    return float(visible[values >= least].mean())


def _common(story: Story, shot: int) -> dict[int, int]:
    """How many cast members and sets each earlier shot has in common with a shot."""
    scripts = [earlier.script for earlier in story.shots[: shot + 1]]
    own = scripts[-1]
    return {
        number: len({a.cast for a in script.actors} & {a.cast for a in own.actors})
        + (script.place.kind == own.place.kind)
        for number, script in enumerate(scripts[:-1])
    }
