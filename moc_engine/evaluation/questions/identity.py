"""Do the model's own features tell who looks alike? Held against the world's truth, layer by layer.

Every appearance of a cast member, in the world's own scenes and in generated takes of the same captions, has
a look that can be read from the drawn scene, and a vector of features (`moc_engine.render.portraits`). Two of
them have a distance of looks and one of vectors. What a studio asks is whether somebody still looks the same
in another take of the same film, so the reading is chosen by such pairs: of one name and one film, where
nothing but the look tells them apart. Pairs of one name in any films, which seldom look the
same, and all pairs are told beside them.

A model whose tokens have no names must find whom a caption names by its own attention: portraits
made so (`moc_engine.render.portraits.portraits`) are told beside the vectors
of the tokens that are known to show somebody.

Every other story chooses the reading, the rest are for its figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from moc_engine.evaluation.examination import Examination
from moc_engine.evaluation.measures.correlation import Estimate, auc, auc_over_stories, over_stories, spearman
from moc_engine.evaluation.measures.reading import Values, cast_of, look, place
from moc_engine.evaluation.playback import play
from moc_engine.evaluation.questions.recall import SAME_COLOUR
from moc_engine.models.animatic.model import AnimaticPipeline
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, SET_SLOT, SLOTS, Scene
from moc_engine.models.animatic.timeline import Timeline
from moc_engine.models.animatic.world import Story
from moc_engine.models.backbone import Backbone
from moc_engine.render.features import features
from moc_engine.render.portraits import pooled, portraits

NOISES: Final = (0.0, 0.1, 0.25, 0.5, 0.75)
SAME_LAYOUT: Final = 0.1
SAME_TINT: Final = 0.02
"""How near the layout (±1) and the tint (OKLab) of a set must come to be the same."""

GROUP: Final = 10

Source = Literal["drawn", "generated"]
Subject = Literal["character", "set"]
Metric = Literal["cosine", "correlation", "euclidean"]
SOURCES: Final[tuple[Source, ...]] = ("drawn", "generated")
METRICS: Final[tuple[Metric, ...]] = ("cosine", "correlation", "euclidean")
"""Distances of vectors; correlation is the cosine distance of vectors less their own means."""

Among = Literal["all", "one name", "one name, one film"]
AMONG: Final[tuple[Among, ...]] = get_args(Among)

Place = tuple[int, str, float]
"""Where features are read: layer, kind, noise level. Layer -1 is none: the latents themselves, portraits."""
LATENTS: Final[Place] = (-1, "latents", 0.0)
PORTRAIT: Final[Place] = (-1, "portrait", 0.0)
"""Of cast members whom the shot's caption names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """Somebody, or a set, in one take.

    `name` is the cast index or the kind of set, `truth` the numbers of its look as `subjects` weighs them,
    `vectors` are those (E,) that were read, by place.
    """

    story: int
    shot: int
    source: Source
    subject: Subject
    name: int
    truth: Values
    vectors: Mapping[Place, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What a reading scored on the choosing stories, over pairs of one name and one film.

    Spearman's correlation with the distance of looks, and the AUC of telling other looks from the same, as
    means over both sources.
    """

    layer: int
    kind: str
    noise: float
    metric: Metric
    correlation: float
    auc: float


@dataclass(frozen=True, kw_only=True)
class Told:
    """A reading's figures on the other stories.

    `same` is the part of pairs that look the same; `right` the mean of the parts of same and of other looks
    that the threshold puts on the right side, NaN where there are not both.
    """

    source: Source
    subject: Subject
    among: Among
    pairs: int
    same: float
    correlation: Estimate
    auc: Estimate
    right: float


@dataclass(frozen=True, kw_only=True)
class Identity:
    """All that was tried, best first; the best reading and its figures; those of the latents themselves.

    `threshold` is the distance from which on two characters look different, chosen with the reading;
    portraits have one of their own.
    """

    tried: tuple[Tried, ...]
    best: Tried
    threshold: float
    told: tuple[Told, ...]
    latents: tuple[Told, ...]
    portrait_threshold: float
    portraits: tuple[Told, ...]


def collect(
    backbone: Backbone,
    pipeline: AnimaticPipeline,
    examination: Examination,
    *,
    noises: Sequence[float] = NOISES,
    report: Callable[[int], None] = lambda examined: None,
) -> list[Appearance]:
    """All appearances in all stories; `backbone` and `pipeline` are the same animatic model.

    `report` hears how many stories are done.
    """
    found: list[Appearance] = []
    for start in range(0, examination.stories, GROUP):
        numbers = range(start, min(start + GROUP, examination.stories))
        stories = [examination.story(number) for number in numbers]
        played = play(pipeline, stories, examination.playback, numbers=numbers).latents.float().cpu().numpy()
        for number, story, takes in zip(numbers, stories, played, strict=True):
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
    """Those of one story in its takes, latents (F, S, CHANNELS) each."""
    for shot, values in enumerate(takes):
        latents = torch.from_numpy(values).permute(2, 0, 1)[..., None].contiguous()
        told = story.shots[shot]
        captions = backbone.family.captions(story.global_caption, told.caption, story.cast)
        tokens: dict[Place, torch.Tensor] = {LATENTS: latents[..., 0].permute(1, 2, 0).flatten(0, 1)}
        for noise in noises:
            read = features(backbone, latents, captions, noise=noise)
            tokens |= {(layer, kind, noise): found for (layer, kind), found in read.tokens.items()}
        named = {
            portrait.name: {PORTRAIT: portrait.vector.numpy()}
            for portrait in portraits(
                backbone,
                latents,
                global_caption=story.global_caption,
                caption=told.caption,
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
                    at: pooled(found, _of_slot(slot, len(found))).numpy() for at, found in tokens.items()
                }
                | (named.get(story.cast[name], {}) if subject == "character" else {}),
            )


def subjects(take: Scene) -> Iterator[tuple[Subject, int, int, Values]]:
    """Whom a take shows, and its set: subject, name, slot, and the truth about the look.

    Differences of truths sum to the distance of looks: for a character shape and accessories (each other one
    counts 1), body and accent (mean absolute difference of linear channels, 0–1, each); for a set its kind,
    its layout (half the mean difference) and its tint (five times, for it is within ±.1).
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
    """Chooses the reading on stories of even number and gives its figures on those of odd number.

    Raises `ValueError` where there are too few stories or shots for both.
    """
    choosing = [_choosing(found, source) for source in SOURCES]
    pairs = [Pairs(those) for those in choosing if len(those) > 1]
    if not pairs or not any(a.story % 2 for a in found):
        raise ValueError("stories: must be more, some to choose by and some to tell, or have more shots")
    places = next(filter(None, choosing))[0].vectors.keys() - {LATENTS, PORTRAIT}
    tried = [
        Tried(layer=at[0], kind=at[1], noise=at[2], metric=metric, correlation=corr, auc=area)
        for at in sorted(places)
        for metric in METRICS
        for corr, area in [np.mean([each.scores(at, metric) for each in pairs], axis=0).tolist()]
    ]
    tried.sort(key=lambda one: -np.nan_to_num(one.correlation + one.auc, nan=-9.0))
    best = tried[0]
    at = (best.layer, best.kind, best.noise)
    named = [a for a in found if PORTRAIT in a.vectors]
    named_pairs = [Pairs(those) for source in SOURCES if len(those := _choosing(named, source)) > 1]
    portrait_threshold = _threshold(named_pairs, PORTRAIT, "cosine") if named_pairs else float("nan")
    return Identity(
        tried=tuple(tried),
        best=best,
        threshold=_threshold(pairs, at, best.metric),
        told=tuple(figures(found, at, best.metric, _threshold(pairs, at, best.metric))),
        latents=tuple(figures(found, LATENTS, best.metric, _threshold(pairs, LATENTS, best.metric))),
        portrait_threshold=portrait_threshold,
        portraits=tuple(figures(named, PORTRAIT, "cosine", portrait_threshold)),
    )


def _choosing(found: Iterable[Appearance], source: Source) -> list[Appearance]:
    """The characters to choose by: those of stories of even number."""
    return [a for a in found if a.story % 2 == 0 and a.subject == "character" and a.source == source]


def _threshold(pairs: Iterable[Pairs], at: Place, metric: Metric) -> float:
    """The distance that tells same and other looks best, among pairs of one name and one film.

    By the mean of the two parts on the right side (Youden, 1950).
    """
    counted = [(each, each.among("one name, one film")) for each in pairs]
    far = np.concatenate([each.distances(at, metric)[those] for each, those in counted])
    same = np.concatenate([each.same[those] for each, those in counted])
    tried = np.unique(far) if len(far) else np.zeros(1)
    return float(tried[np.argmax([np.nan_to_num(_right(far, same, least)) for least in tried])])


def _right(far: Values, same: NDArray[np.bool_], least: float) -> float:
    if same.all() or not same.any():  # or nothing there
        return float("nan")
    return float(((far[same] < least).mean() + (far[~same] >= least).mean()) / 2)


def figures(found: Sequence[Appearance], at: Place, metric: Metric, threshold: float) -> Iterator[Told]:
    """What a reading tells in the stories of odd number."""
    for subject in ("character", "set"):
        for source in SOURCES:
            those = [a for a in found if a.story % 2 and a.source == source and a.subject == subject]
            if len(those) < 2:
                continue
            pairs = Pairs(those)
            far = pairs.distances(at, metric)
            for among in AMONG:
                counted = pairs.among(among)
                if counted.any():
                    yield Told(
                        source=source,
                        subject=subject,
                        among=among,
                        pairs=int(counted.sum()),
                        same=float(pairs.same[counted].mean()),
                        correlation=over_stories(far[counted], pairs.truth[counted], pairs.stories[counted]),
                        auc=auc_over_stories(far[counted], ~pairs.same[counted], pairs.stories[counted]),
                        right=_right(far[counted], pairs.same[counted], threshold),
                    )


class Pairs:
    """All pairs of some appearances of one kind of subject, P of them, in different takes."""

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
        """(P,): which pairs count."""
        if among == "all":
            return np.ones_like(self._of_name)
        if among == "one name":
            return self._of_name
        return np.asarray(self._of_name & (self.stories[:, 0] == self.stories[:, 1]))

    def distances(self, at: Place, metric: Metric) -> Values:
        """(P,): between the vectors read at a place."""
        vectors = np.stack([a.vectors[at] for a in self._found]).astype(np.float64)
        if metric == "correlation":
            vectors = vectors - vectors.mean(axis=1, keepdims=True)
        products = vectors @ vectors.T
        squares = np.diag(products)
        if metric == "euclidean":
            apart = squares[:, None] + squares - 2 * products
            return np.asarray(np.sqrt(np.maximum(apart, 0.0))[self._one, self._other])
        lengths = np.sqrt(squares)
        return np.asarray((1.0 - products / np.outer(lengths, lengths))[self._one, self._other])

    def scores(self, at: Place, metric: Metric) -> tuple[float, float]:
        """Spearman's correlation and the AUC over pairs of one name and one film."""
        counted = self.among("one name, one film")
        far = self.distances(at, metric)[counted]
        return spearman(far, self.truth[counted]), auc(far, ~self.same[counted])


def _same(parts_PT: Values, subject: Subject) -> NDArray[np.bool_]:
    """Whether two truths are the same to the eye, part by part."""
    if subject == "character":
        facts, body, accent = parts_PT[:, :11], parts_PT[:, 11:14], parts_PT[:, 14:]
        same = (facts == 0).all(axis=1) & (body.sum(axis=1) < SAME_COLOUR)
        return np.asarray(same & (accent.sum(axis=1) < SAME_COLOUR))
    kind, layout, tint = parts_PT[:, :8], parts_PT[:, 8:14] * 12, parts_PT[:, 14:] / 2.5
    same = (kind == 0).all(axis=1) & (layout.mean(axis=1) < SAME_LAYOUT)
    return np.asarray(same & (tint.mean(axis=1) < SAME_TINT))


def _of_slot(slot: int, tokens: int) -> torch.Tensor:
    return torch.arange(tokens) % SLOTS == slot
