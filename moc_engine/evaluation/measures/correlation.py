"""How well one number predicts another: rank correlation and area under the ROC curve, with intervals.

Intervals are 95%, by a bootstrap over whole stories, since the values of a story are not independent. A
resample is a weight for each value, so that all resamples are computed as one matrix product.

Shapes: P values, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moc_engine.evaluation.measures.scores import RESAMPLES

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95% interval; NaN without data."""

    value: float
    low: float
    high: float


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN if either is constant."""
    return float(_spearman(np.asarray(one, float), np.asarray(other, float), np.ones((1, np.size(one))))[0])


def auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """The share of pairs in which a positive scores above a negative, ties count half; NaN without both."""
    positive = np.asarray(positive, bool)
    return float(_auc(np.asarray(scores, float), positive, np.ones((1, positive.size)))[0])


def over_stories(one: ArrayLike, other: ArrayLike, stories: ArrayLike) -> Estimate:
    """Spearman's correlation over all values; `stories` (P,) are their stories, as in `story_weights`."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    return _estimate(*(_spearman(one, other, weights) for weights in story_weights(stories)))


def auc_over_stories(scores: ArrayLike, positive: ArrayLike, stories: ArrayLike) -> Estimate:
    """`auc` with its interval."""
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    return _estimate(*(_auc(scores, positive, weights) for weights in story_weights(stories)))


def within_groups(one: ArrayLike, other: ArrayLike, groups: ArrayLike, stories: ArrayLike) -> Estimate:
    """The mean of Spearman's correlations within each group, such as the pairs of one shot.

    Groups of fewer than three values and constant groups are left out.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    groups, stories = np.asarray(groups), np.asarray(stories)
    found: list[tuple[float, int]] = []
    for group in np.unique(groups):
        members = groups == group
        value = spearman(one[members], other[members]) if members.sum() >= 3 else np.nan
        if np.isfinite(value):
            found.append((value, stories[members][0]))
    return mean_over_stories([value for value, _ in found], [story for _, story in found])


def mean_over_stories(values: Sequence[float], stories: ArrayLike) -> Estimate:
    """A mean with its interval."""
    if not len(values):
        return Estimate(value=np.nan, low=np.nan, high=np.nan)
    whole, resampled = story_weights(stories)
    known = np.asarray(values, float)
    return _estimate(*(weights @ known / weights.sum(axis=1) for weights in (whole, resampled)))


def ratio_over_stories(part: ArrayLike, whole: ArrayLike, stories: ArrayLike) -> Estimate:
    """The share of `part` among the values that are `whole`; NaN if none is."""
    whole = np.asarray(whole, float)
    both = np.asarray(part, float) * whole
    with np.errstate(invalid="ignore"):
        return _estimate(*(w @ both / (w @ whole) for w in story_weights(stories)))


def story_weights(stories: ArrayLike) -> tuple[Floats, Floats]:
    """Weights of the values: (1, P) unchanged, and (R, P) with resampled stories, by a fixed seed.

    A value about two stories, `stories` (P, 2), is weighted by how often both are drawn.
    """
    names = np.asarray(stories)
    if not names.size:
        return np.ones((1, 0)), np.ones((RESAMPLES, 0))
    _, places = np.unique(names, return_inverse=True)
    places = places.reshape(names.shape)
    count = int(places.max()) + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    if places.ndim == 2:
        one, other = places.T
        weights = drawn[:, one] * np.where(one == other, 1, drawn[:, other])
    else:
        weights = drawn[:, places]
    return np.ones((1, len(places))), weights.astype(float)


def _estimate(whole: Floats, resampled: Floats) -> Estimate:
    known = resampled[np.isfinite(resampled)]
    low, high = np.quantile(known, (0.025, 0.975)) if known.size else (np.nan, np.nan)
    return Estimate(value=float(whole[0]), low=float(low), high=float(high))


def _spearman(one: Floats, other: Floats, weights_RP: Floats) -> Floats:
    """(R,): the weighted correlation of weighted mean ranks."""
    if not one.size:
        return np.full(len(weights_RP), np.nan)
    x, y = _ranks(one, weights_RP), _ranks(other, weights_RP)
    total = weights_RP.sum(axis=1, keepdims=True)
    x, y = (ranks - (ranks * weights_RP).sum(axis=1, keepdims=True) / total for ranks in (x, y))
    both, of_x, of_y = ((a * b * weights_RP).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(of_x * of_y > 0, both / np.sqrt(of_x * of_y), np.nan)


def _ranks(values: Floats, weights_RP: Floats) -> Floats:
    """(R, P): the weight below each value, plus half of the weight equal to it."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    at = np.add.reduceat(weights_RP[:, order], first, axis=1)
    ranks: Floats = (at.cumsum(axis=1) - at / 2)[:, group]
    return ranks


def _auc(scores: Floats, positive: NDArray[np.bool_], weights_RP: Floats) -> Floats:
    """(R,): the Mann–Whitney U over all pairs, from the ranks of the positives."""
    if not scores.size:
        return np.full(len(weights_RP), np.nan)
    of_positive = weights_RP * positive
    count = of_positive.sum(axis=1)
    others = weights_RP.sum(axis=1) - count
    ranks = (_ranks(scores, weights_RP) * of_positive).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count * others > 0, (ranks - count**2 / 2) / (count * others), np.nan)
