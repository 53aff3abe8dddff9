"""What an examination found, and the figures drawn from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

RESAMPLES: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One finding: right or wrong, or an error; `distance` in shots since last seen, if that counts."""

    value: bool | float
    story: int
    distance: int | None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean with its 95% interval, over `count` findings; `by_distance` maps shots to (mean, count).

    The interval is that of a bootstrap over whole stories, whose shots are not independent. For what is right
    or wrong a story that is all right and one that is all wrong are added, so that a perfect score leaves
    some doubt too (after Agresti and Coull, 1998, who add findings).
    """

    mean: float
    low: float
    high: float
    count: int
    by_distance: dict[int, tuple[float, int]] = field(default_factory=dict)


class Outcomes:
    """Findings by metric, story after story: set `story` before adding those of one."""

    def __init__(self) -> None:
        self.story = 0
        self._found: dict[str, list[Outcome]] = defaultdict(list)

    def add(self, metric: str, value: bool | float, distance: int | None = None) -> None:
        self._found[metric].append(Outcome(value=value, story=self.story, distance=distance))

    def join(self, others: Outcomes) -> None:
        """Takes over what was found in other stories."""
        for metric, found in others._found.items():
            self._found[metric] += found

    def values(self, metric: str) -> list[float]:
        return [float(outcome.value) for outcome in self._found.get(metric, ())]

    def metrics(self) -> tuple[str, ...]:
        return tuple(self._found)

    def headline(self) -> dict[str, float]:
        """The means, by metric; what was never examined is left out."""
        return {metric: float(np.mean(self.values(metric))) for metric in self._found}

    def figures(self) -> dict[str, Figure]:
        return {metric: _figure(found) for metric, found in self._found.items()}


def _figure(found: Sequence[Outcome]) -> Figure:
    values = np.array([outcome.value for outcome in found], dtype=float)
    low, high = _interval(found)
    return Figure(
        mean=float(values.mean()), low=low, high=high, count=len(found), by_distance=dict(_by_distance(found))
    )


def _interval(found: Sequence[Outcome]) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of the mean under resampling of stories; the same every time."""
    _, places = np.unique([outcome.story for outcome in found], return_inverse=True)
    sums = np.bincount(places, weights=[outcome.value for outcome in found])
    counts = np.bincount(places).astype(float)
    if all(isinstance(outcome.value, bool | np.bool_) for outcome in found):
        usual = counts.mean()
        sums, counts = np.append(sums, (usual, 0.0)), np.append(counts, (usual, usual))
    draws = np.random.default_rng(0).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _by_distance(found: Sequence[Outcome]) -> Iterator[tuple[int, tuple[float, int]]]:
    for distance in sorted({o.distance for o in found if o.distance is not None}):
        values = [o.value for o in found if o.distance == distance]
        yield distance, (float(np.mean(values)), len(values))
