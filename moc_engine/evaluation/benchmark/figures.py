"""The arithmetic of the benchmark: pairs, spreads of times, ratios, efficiency."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.layout import Ints


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of some numbers, and their lower and upper quartile."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"

    @property
    def steady(self) -> bool:
        """Whether the quartiles differ by a quarter at most."""
        return self.high <= 1.25 * self.low


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Query-key pairs: of dense attention, and those attended to."""

    dense: int
    attended: int

    @property
    def ratio(self) -> float:
        """How many times fewer pairs are attended to."""
        return self.dense / self.attended


def spread(numbers: Sequence[float]) -> Spread:
    """`ValueError` where there are no numbers."""
    if not numbers:
        raise ValueError("numbers: there are none")
    low, high = (float(x) for x in np.quantile(numbers, (0.25, 0.75)))
    return Spread(median=statistics.median(numbers), low=low, high=high, rounds=len(numbers))


def ratios(times: Sequence[float], of: Sequence[float]) -> Spread:
    """How many times longer `times` are than `of`, round by round.

    The median is that of the rounds' ratios, which a machine that slows down for some rounds does not change.
    It differs from the ratio of the medians where rounds are not `steady`.
    """
    return spread([one / other for one, other in zip(times, of, strict=True)])


def pairs_in_words(ratio: float, *, digits: int = 2) -> str:
    """How many times fewer pairs there are than those of dense attention."""
    times = f"{ratio:.{digits}f}"
    return "the same number of pairs" if float(times) == 1.0 else f"{times} times fewer pairs"


def efficiency(faster: float, pairs: Pairs) -> float:
    """The speed-up over dense attention divided by the ratio of pairs; 1 is the ceiling."""
    return faster / pairs.ratio


def count_pairs(chosen_RLK: Tensor, offsets: Ints, *, keys: int, always: int) -> Pairs:
    """The pairs of a selection: `always` keys of every query, and its chunks' (-1 is none), out of `keys`."""
    lengths = torch.tensor(np.append(np.diff(offsets), 0))  # the last is that of no chunk
    routed = int(lengths[chosen_RLK.cpu().long()].sum())
    queries = chosen_RLK.shape[0] * chosen_RLK.shape[1]
    return Pairs(dense=queries * keys, attended=queries * always + routed)


def crossover(points: Sequence[tuple[int, float]]) -> int | None:
    """The least measured size from which on every larger one is at least as fast as dense; None: none is.

    `points` are sizes and speed-ups.
    """
    found = None
    for size, faster in sorted(points, reverse=True):
        if faster < 1.0:
            break
        found = size
    return found
