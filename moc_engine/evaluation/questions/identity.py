"""Do the model's own features tell who looks alike? Compared with the true looks, layer by layer.

Every appearance of a cast member or set, in the world's own scenes and in generated takes of the same
captions, has a look that is read from the drawn scene, and feature vectors (`moc_engine.render.features`).
Two appearances have a distance of looks and one of vectors. The studio asks whether a character still looks
the same in another take of the same film, so the best layer, kind, noise level and metric are chosen by pairs
of the same name in the same film, where only the look differs. Pairs of the same name in any film, which
seldom look the same, and all pairs are reported too.

A model whose tokens have no names must find the character named in a caption by its own attention: such
portraits (`moc_engine.render.portraits`) are reported beside the vectors of tokens that are known to show the
character.

Every other story is used to choose, the rest for the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.generation.stories import generate
from moc_engine.evaluation.measures.correlation import Estimate, auc, auc_over_stories, over_stories, spearman
from moc_engine.evaluation.measures.reading import COLOUR_TOLERANCE, Values, cast_of, look, place
from moc_engine.models.animatic.model import AnimaticPipeline
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, SET_SLOT, SLOTS, Scene
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story
from moc_engine.models.backbone import Backbone
from moc_engine.render.features import features
from moc_engine.render.portraits import pooled, portraits

NOISES: Final = (0.0, 0.1, 0.25, 0.5, 0.75)
LAYOUT_TOLERANCE: Final = 0.1
TINT_TOLERANCE: Final = 0.02
"""Sets whose layout (±1) and tint (OKLab) differ by less look the same."""

BATCH: Final = 10

Source = Literal["drawn", "generated"]
Subject = Literal["character", "set"]
Metric = Literal["cosine", "correlation", "euclidean"]
SOURCES: Final[tuple[Source, ...]] = ("drawn", "generated")
METRICS: Final[tuple[Metric, ...]] = ("cosine", "correlation", "euclidean")
"""Distances of vectors; correlation is the cosine distance after subtracting each vector's mean."""

Among = Literal["all", "one name", "one name, one film"]
AMONG: Final[tuple[Among, ...]] = get_args(Among)

Feature = tuple[int, str, float]
"""Which features: layer, kind, noise level. Layer -1 stands for no layer: the latents, and portraits."""
LATENTS: Final[Feature] = (-1, "latents", 0.0)
PORTRAIT: Final[Feature] = (-1, "portrait", 0.0)
"""For cast members that the shot's caption names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """A character or set in one take.

    `name` is the cast index or the kind of set, `truth` the values of its look as weighted by `subjects`,
    `vectors` (E,) are the feature vectors.
    """

    story: int
    shot: int
    source: Source
    subject: Subject
    name: int
    truth: Values
    vectors: Mapping[Feature, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A feature and metric with their scores on the stories to choose by, over pairs of one name and one
    film.

    Spearman's correlation with the distance of looks, and the AUC of telling different looks from the same,
    as means over both sources.
    """

    layer: int
    kind: str
    noise: float
    metric: Metric
    correlation: float
    auc: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """The results of one feature and metric on the other stories.

    `same` is the share of pairs that look the same. `balanced_accuracy` is the mean of the shares of same and
    of different looks on the right side of the threshold; NaN without both.
    """

    source: Source
    subject: Subject
    among: Among
    pairs: int
    same: float
    correlation: Estimate
    auc: Estimate
    balanced_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All candidates, best first, and the results of the best one, of the latents and of portraits.

    From the distance `threshold` on two characters look different; it is chosen with the best candidate.
    Portraits have their own.
    """

    candidates: tuple[Candidate, ...]
    best: Candidate
    threshold: float
    results: tuple[Result, ...]
    latents: tuple[Result, ...]
    portrait_threshold: float
    portraits: tuple[Result, ...]


def collect(
    backbone: Backbone,
    pipeline: AnimaticPipeline,
    settings: EvaluationSettings,
    *,
    noises: Sequence[float] = NOISES,
    report: Callable[[int], None] = lambda done: None,
) -> list[Appearance]:
    """All appearances in all stories; `backbone` and `pipeline` are the same animatic model.

    Calls `report` with the number of finished stories.
    """
    found: list[Appearance] = []
    for start in range(0, settings.stories, BATCH):
        numbers = range(start, min(start + BATCH, settings.stories))
        stories = [settings.story(number) for number in numbers]
        generated = generate(pipeline, stories, settings.generation, numbers=numbers)
        latents = generated.latents.float().cpu().numpy()
        for number, story, takes in zip(numbers, stories, latents, strict=True):
            drawn = [shot.scene.to_latents() for shot in story.shots]
            found.extend(appearances(backbone, story, number, "drawn", drawn, noises))
            found.extend(appearances(backbone, story, number, "generated", list(takes), noises))
            report(number + 1)
    return found


def appearances(
    backbone: Backbone,
    story: Story,
    number: int,
    source: Source,
    takes: Sequence[NDArray[np.float32]],
    noises: Sequence[float],
) -> Iterator[Appearance]:
    """The appearances of one story in its takes, latents (F, S, CHANNELS) each."""
    for shot, values in enumerate(takes):
        latents = torch.from_numpy(values).permute(2, 0, 1)[..., None].contiguous()
        caption = story.shots[shot].caption
        captions = backbone.family.captions(story.global_caption, caption, story.cast)
        tokens: dict[Feature, torch.Tensor] = {LATENTS: latents[..., 0].permute(1, 2, 0).flatten(0, 1)}
        for noise in noises:
            read = features(backbone, latents, captions, noise=noise)
            tokens |= {(layer, kind, noise): found for (layer, kind), found in read.tokens.items()}
        named = {
            portrait.name: {PORTRAIT: portrait.vector.numpy()}
            for portrait in portraits(
                backbone,
                latents,
                global_caption=story.global_caption,
                caption=caption,
                cast=story.cast,
            )
        }
        for subject, name, slot, truth in subjects(Scene.from_latents(values)):
            yield Appearance(
                story=number,
                shot=shot,
                source=source,
                subject=subject,
                name=name,
                truth=truth,
                vectors={
                    feature: pooled(values, _of_slot(slot, len(values))).numpy()
                    for feature, values in tokens.items()
                }
                | (named.get(story.cast[name], {}) if subject == "character" else {}),
            )


def subjects(take: Scene) -> Iterator[tuple[Subject, int, int, Values]]:
    """The characters and the set of a take: subject, name, slot, and the values of its true look.

    The absolute differences of these values sum to the distance of looks. Characters: shape and accessories
    (1 for each different one), body and accent (mean absolute difference of linear channels, 0–1, each).
    Sets: kind, layout (half the mean difference) and tint (five times, since it is within ±.1).
    """
    drawn = Timeline(take).drawn()
    for name, track in cast_of(drawn).items():
        seen = look(track)
        worn = np.isin(np.arange(5), list(seen.accessory)) / 2.0
        shape = np.eye(6)[seen.shape] / 2.0
        assert track.slot in CHARACTER_SLOTS
        yield "character", name, track.slot, np.concatenate([shape, worn, seen.body / 3, seen.accent / 3])
    kind, tint, layout = place(drawn)
    gain = {field.name: field.gain for field in take.set.fields}
    yield (
        "set",
        kind,
        SET_SLOT,
        np.concatenate([np.eye(8)[kind] / 2.0, layout / gain["layout"] / 12, tint / gain["tint"] * 2.5]),
    )


def study(found: Sequence[Appearance]) -> Identity:
    """Chooses feature and metric on stories with even numbers and measures them on those with odd numbers.

    Raises `ValueError` for too few stories or shots for both.
    """
    choosing = [_choosing(found, source) for source in SOURCES]
    pairs = [Pairs(those) for those in choosing if len(those) > 1]
    if not pairs or not any(a.story % 2 for a in found):
        raise ValueError("stories: more stories or shots are needed, to choose by and to measure")
    features_read = next(filter(None, choosing))[0].vectors.keys() - {LATENTS, PORTRAIT}
    candidates = [
        Candidate(
            layer=feature[0], kind=feature[1], noise=feature[2], metric=metric, correlation=corr, auc=area
        )
        for feature in sorted(features_read)
        for metric in METRICS
        for corr, area in [np.mean([each.scores(feature, metric) for each in pairs], axis=0).tolist()]
    ]
    candidates.sort(key=lambda one: -np.nan_to_num(one.correlation + one.auc, nan=-9.0))
    best = candidates[0]
    feature = (best.layer, best.kind, best.noise)
    threshold = _threshold(pairs, feature, best.metric)
    named = [a for a in found if PORTRAIT in a.vectors]
    named_pairs = [Pairs(those) for source in SOURCES if len(those := _choosing(named, source)) > 1]
    portrait_threshold = _threshold(named_pairs, PORTRAIT, "cosine") if named_pairs else float("nan")
    return Identity(
        candidates=tuple(candidates),
        best=best,
        threshold=threshold,
        results=tuple(results(found, feature, best.metric, threshold)),
        latents=tuple(results(found, LATENTS, best.metric, _threshold(pairs, LATENTS, best.metric))),
        portrait_threshold=portrait_threshold,
        portraits=tuple(results(named, PORTRAIT, "cosine", portrait_threshold)),
    )


def _choosing(found: Iterable[Appearance], source: Source) -> list[Appearance]:
    """The characters to choose by: those of stories with even numbers."""
    return [a for a in found if a.story % 2 == 0 and a.subject == "character" and a.source == source]


def _threshold(pairs: Iterable[Pairs], feature: Feature, metric: Metric) -> float:
    """The distance that best separates same from different looks, over pairs of one name and one film.

    Best by balanced accuracy (Youden, 1950).
    """
    counted = [(each, each.among("one name, one film")) for each in pairs]
    far = np.concatenate([each.distances(feature, metric)[those] for each, those in counted])
    same = np.concatenate([each.same[those] for each, those in counted])
    thresholds = np.unique(far) if len(far) else np.zeros(1)
    accuracies = [np.nan_to_num(_balanced_accuracy(far, same, threshold)) for threshold in thresholds]
    return float(thresholds[np.argmax(accuracies)])


def _balanced_accuracy(far: Values, same: NDArray[np.bool_], threshold: float) -> float:
    if same.all() or not same.any():  # also for no pairs
        return float("nan")
    return float(((far[same] < threshold).mean() + (far[~same] >= threshold).mean()) / 2)


def results(
    found: Sequence[Appearance], feature: Feature, metric: Metric, threshold: float
) -> Iterator[Result]:
    """The results of a feature and metric on stories with odd numbers."""
    for subject in ("character", "set"):
        for source in SOURCES:
            those = [a for a in found if a.story % 2 and a.source == source and a.subject == subject]
            if len(those) < 2:
                continue
            pairs = Pairs(those)
            far = pairs.distances(feature, metric)
            for among in AMONG:
                counted = pairs.among(among)
                if counted.any():
                    yield Result(
                        source=source,
                        subject=subject,
                        among=among,
                        pairs=int(counted.sum()),
                        same=float(pairs.same[counted].mean()),
                        correlation=over_stories(far[counted], pairs.truth[counted], pairs.stories[counted]),
                        auc=auc_over_stories(far[counted], ~pairs.same[counted], pairs.stories[counted]),
                        balanced_accuracy=_balanced_accuracy(far[counted], pairs.same[counted], threshold),
                    )


class Pairs:
    """All P pairs of appearances of one kind of subject in different takes."""

    def __init__(self, found: Sequence[Appearance]) -> None:
        self._found = found
        takes = np.array([(a.story, a.shot) for a in found]).reshape(-1, 2)
        one, other = np.triu_indices(len(found), k=1)
        apart = (takes[one] != takes[other]).any(axis=1)
        self._one, self._other = one[apart], other[apart]
        names = np.array([a.name for a in found])
        truth = np.stack([a.truth for a in found])
        parts = np.abs(truth[self._one] - truth[self._other])
        self.stories = np.stack([takes[self._one, 0], takes[self._other, 0]], axis=1)
        self._of_name: NDArray[np.bool_] = names[self._one] == names[self._other]
        self.truth: Values = parts.sum(axis=1)
        self.same: NDArray[np.bool_] = _same(parts, found[0].subject)

    def among(self, among: Among) -> NDArray[np.bool_]:
        """(P,): which pairs are counted."""
        if among == "all":
            return np.ones_like(self._of_name)
        if among == "one name":
            return self._of_name
        return np.asarray(self._of_name & (self.stories[:, 0] == self.stories[:, 1]))

    def distances(self, feature: Feature, metric: Metric) -> Values:
        """(P,): the distances between the vectors of a feature."""
        vectors = np.stack([a.vectors[feature] for a in self._found]).astype(np.float64)
        if metric == "correlation":
            vectors = vectors - vectors.mean(axis=1, keepdims=True)
        products = vectors @ vectors.T
        squares = np.diag(products)
        if metric == "euclidean":
            apart = squares[:, None] + squares - 2 * products
            return np.asarray(np.sqrt(np.maximum(apart, 0.0))[self._one, self._other])
        lengths = np.sqrt(squares)
        return np.asarray((1.0 - products / np.outer(lengths, lengths))[self._one, self._other])

    def scores(self, feature: Feature, metric: Metric) -> tuple[float, float]:
        """Spearman's correlation and the AUC over pairs of one name and one film."""
        counted = self.among("one name, one film")
        far = self.distances(feature, metric)[counted]
        return spearman(far, self.truth[counted]), auc(far, ~self.same[counted])


def _same(parts_PT: Values, subject: Subject) -> NDArray[np.bool_]:
    """Whether two looks are visibly the same, given the differences of their values."""
    if subject == "character":
        facts, body, accent = parts_PT[:, :11], parts_PT[:, 11:14], parts_PT[:, 14:]
        same = (facts == 0).all(axis=1) & (body.sum(axis=1) < COLOUR_TOLERANCE)
        return np.asarray(same & (accent.sum(axis=1) < COLOUR_TOLERANCE))
    kind, layout, tint = parts_PT[:, :8], parts_PT[:, 8:14] * 12, parts_PT[:, 14:] / 2.5
    same = (kind == 0).all(axis=1) & (layout.mean(axis=1) < LAYOUT_TOLERANCE)
    return np.asarray(same & (tint.mean(axis=1) < TINT_TOLERANCE))


def _of_slot(slot: int, tokens: int) -> torch.Tensor:
    return torch.arange(tokens) % SLOTS == slot
