"""Measured values by metric, and their means with confidence intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

RESAMPLES: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured value: right or wrong, or an error. `distance` is in shots since last seen, if it
    applies."""

    value: bool | float
    story: int
    distance: int | None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A mean with its 95% interval over `count` values; `by_distance` maps shots to (mean, count).

    The interval is a bootstrap over whole stories, since the shots of a story are not independent. If values
    are right or wrong, a story that is all right and one that is all wrong are added, so that a perfect score
    has an interval too (after Agresti and Coull, 1998, who add single values).
    """

    mean: float
    low: float
    high: float
    count: int
    by_distance: dict[int, tuple[float, int]] = field(default_factory=dict)


class Scores:
    """Scores by metric, story after story: set `story` before adding those of a story."""

    def __init__(self) -> None:
        self.story = 0
        self._scores: dict[str, list[Score]] = defaultdict(list)

    def add(self, metric: str, value: bool | float, distance: int | None = None) -> None:
        self._scores[metric].append(Score(value=value, story=self.story, distance=distance))

    def extend(self, others: Scores) -> None:
        """Adds the scores of other stories."""
        for metric, scores in others._scores.items():
            self._scores[metric] += scores

    def values(self, metric: str) -> list[float]:
        return [float(score.value) for score in self._scores.get(metric, ())]

    def metrics(self) -> tuple[str, ...]:
        return tuple(self._scores)

    def means(self) -> dict[str, float]:
        """The mean of each metric that has scores."""
        return {metric: float(np.mean(self.values(metric))) for metric in self._scores}

    def summaries(self) -> dict[str, Summary]:
        return {metric: _summary(scores) for metric, scores in self._scores.items()}


def _summary(scores: Sequence[Score]) -> Summary:
    values = np.array([score.value for score in scores], dtype=float)
    low, high = _interval(scores)
    return Summary(
        mean=float(values.mean()),
        low=low,
        high=high,
        count=len(scores),
        by_distance=dict(_by_distance(scores)),
    )


def _interval(scores: Sequence[Score]) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the mean over resampled stories, with a fixed seed."""
    _, places = np.unique([score.story for score in scores], return_inverse=True)
    sums = np.bincount(places, weights=[score.value for score in scores])
    counts = np.bincount(places).astype(float)
    if all(isinstance(score.value, bool | np.bool_) for score in scores):
        average = counts.mean()
        sums, counts = np.append(sums, (average, 0.0)), np.append(counts, (average, average))
    draws = np.random.default_rng(0).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _by_distance(scores: Sequence[Score]) -> Iterator[tuple[int, tuple[float, int]]]:
    for distance in sorted({s.distance for s in scores if s.distance is not None}):
        values = [s.value for s in scores if s.distance == distance]
        yield distance, (float(np.mean(values)), len(values))
