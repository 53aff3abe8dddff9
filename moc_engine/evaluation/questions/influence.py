"""Does a take's share of attention tell how much a shot would change without it?

Held-out stories are rendered shot by shot; then each context shot of each shot is banned in turn, the shot is
rendered again at the same noise, and what changed is measured (`change`). The numbers that a trace offers
(`predictors`) are held against it: by rank over all pairs of shot and context shot, by rank within each shot,
and as a threshold, the way the studio uses one.

Attention need not be influence: what a shot drew from one take another may hold as well, and then nothing
changes when it is gone (Jain and Wallace, "Attention is not Explanation", 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.evaluation.examination import Examination
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
from moc_engine.evaluation.retakes import Retaken, retake
from moc_engine.models.animatic.scene import Scene
from moc_engine.models.animatic.world import Story
from moc_engine.models.backbone import Backbone

GROUP: Final = 5
"""Stories rendered at once, at most: with the bans of a late shot that is a batch of 80 already."""

THRESHOLDS: Final = (0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
CALIBRATED: Final = (CONTEXT_SHARE, LARGEST_SHOWN)
"""The numbers that are tried as thresholds."""

CAUGHT: Final = 0.9
"""The part of the visible changes that `Prediction.precision` asks a threshold to catch."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A shot, one of its context shots, what the trace says of the two, and what a ban changed.

    Shots count from 0.
    """

    story: int
    shot: int
    source: int
    predicted: dict[str, float]
    change: Change

    @property
    def share(self) -> float:
        """The source's share of what the shot drew from its context, 0–1."""
        return self.predicted[CONTEXT_SHARE]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How well one number foretells changes: Spearman's correlation with the change in the scene and in
    pixels, over all pairs and within shots; `auc` and `scene_auc` of telling visible changes, and those in
    the scene, from others; and the precision of the threshold that catches `CAUGHT` of the visible ones."""

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
    """What a number does as a threshold: of all pairs the part at or above it, of those the part that changed
    visibly (precision), and the part of all visible changes among them (recall); the same for what changed
    visibly in the scene, in a part that has a name."""

    name: str
    least: float
    flagged: float
    precision: Estimate
    recall: Estimate
    scene_precision: Estimate
    scene_recall: Estimate


@dataclass(frozen=True, kw_only=True)
class Influence:
    """What a study found; `parts` has how often each part of a scene changed visibly, 0–1."""

    pairs: int
    visible: Estimate
    seen_in_scene: float
    seen_in_pixels: float
    parts: dict[str, float]
    predictions: tuple[Prediction, ...]
    thresholds: tuple[Threshold, ...]


def measure(
    backbone: Backbone,
    examination: Examination,
    *,
    pairs: int | None = None,
    report: Callable[[int], None] = lambda examined: None,
) -> list[Pair]:
    """Renders the stories and every ban; `report` hears how many stories are done.

    Of the examination's playback, routing, sampler and seed count: the router is MoC's. `pairs` is how many
    context shots of a shot are banned at most (None: each). Raises `ValueError` for `pairs` below 1.
    """
    found: list[Pair] = []
    playback = examination.playback
    for start in range(0, examination.stories, GROUP):
        numbers = range(start, min(start + GROUP, examination.stories))
        stories = [examination.story(number) for number in numbers]
        for retaken in retake(
            backbone,
            stories,
            numbers=numbers,
            routing=playback.routing,
            sampler=playback.sampler,
            seed=playback.seed,
            pairs=pairs,
        ):
            found.extend(pairs_of(stories[retaken.story - start], retaken))
        report(numbers.stop)
    return found


def pairs_of(story: Story, retaken: Retaken) -> Iterator[Pair]:
    """A shot with each of the context shots that it was rendered without."""
    if retaken.trace is None:
        return
    comparison = Comparison(Scene.from_latents(retaken.take))
    told = predictors(retaken.trace) | baselines(retaken.shot, _common(story, retaken.shot))
    for source, values in retaken.retakes.items():
        yield Pair(
            story=retaken.story,
            shot=retaken.shot,
            source=source,
            predicted={name: by_shot[source] for name, by_shot in told.items()},
            change=comparison.with_take(Scene.from_latents(values)),
        )


def study(pairs: Sequence[Pair]) -> Influence:
    """The figures. Raises `ValueError` where there are no pairs: stories need two shots."""
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
    """Of the highest threshold that catches enough of what is visible; NaN where nothing is."""
    if not visible.any():
        return float("nan")
    caught = np.sort(values[visible])[::-1]
    least = caught[int(np.ceil(CAUGHT * len(caught))) - 1]
    return float(visible[values >= least].mean())


def _common(story: Story, shot: int) -> dict[int, int]:
    """How many cast members and sets each earlier shot has in common with a shot."""
    scripts = [told.script for told in story.shots[: shot + 1]]
    own = scripts[-1]
    return {
        number: len({a.cast for a in script.actors} & {a.cast for a in own.actors})
        + (script.place.kind == own.place.kind)
        for number, script in enumerate(scripts[:-1])
    }
