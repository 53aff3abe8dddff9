import math

import numpy as np
import pytest

from moc_engine.evaluation.measures.correlation import (
    auc,
    auc_over_stories,
    mean_over_stories,
    over_stories,
    ratio_over_stories,
    spearman,
    within_groups,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 4000], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 0.5),
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / math.sqrt(4.5 * 5)),  # ties at their mean rank
    ],
)
def test_ranks_correlate(one: list[float], other: list[float], expected: float) -> None:
    assert spearman(one, other) == pytest.approx(expected)


def test_constants_have_no_rank_correlation() -> None:
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_the_area_under_the_curve_is_the_share_of_correctly_ranked_pairs() -> None:
    assert auc([0.1, 0.2, 0.8, 0.9], [False, False, True, True]) == 1.0
    assert auc([0.9, 0.1], [False, True]) == 0.0
    assert auc([0.5, 0.5, 0.5], [True, False, False]) == 0.5
    assert auc([1, 2, 3, 4], [True, False, True, False]) == pytest.approx(1 / 4)
    assert math.isnan(auc([1, 2], [True, True]))


def test_resampled_stories_are_ranked_again() -> None:
    """Resampling equals copying the values of each drawn story."""
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 5, 12).astype(float), rng.normal(size=12)
    stories = np.repeat([0, 1, 2], 4)
    estimate = over_stories(one, other, stories)
    assert estimate.value == pytest.approx(spearman(one, other))
    drawn = np.random.default_rng(0).multinomial(3, np.full(3, 1 / 3), size=1000)
    copied = [spearman(np.repeat(one, row[stories]), np.repeat(other, row[stories])) for row in drawn[:200]]
    assert min(copied) - 1e-9 <= estimate.low <= estimate.value <= estimate.high <= max(copied) + 1e-9


def test_stories_that_disagree_widen_the_interval() -> None:
    ascending, descending = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    sure = over_stories(ascending * 2, ascending * 2, [0] * 3 + [1] * 3)
    assert (sure.low, sure.high) == pytest.approx((1.0, 1.0))
    torn = over_stories(ascending * 2, ascending + descending, [0] * 3 + [1] * 3)
    assert (torn.low, torn.value, torn.high) == pytest.approx((-1.0, 0.0, 1.0))


def test_groups_are_ranked_separately() -> None:
    """The order of groups has no influence; groups of two and constant groups are ignored."""
    one = [1, 2, 3, 11, 12, 13, 5, 6, 7, 7, 7]
    other = [11, 12, 13, 1, 3, 2, 6, 5, 1, 2, 3]
    groups = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3]
    assert within_groups(one, other, groups, [0] * 11).value == pytest.approx((1.0 + 0.5) / 2)


def test_means_and_ratios_have_intervals() -> None:
    found = mean_over_stories([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1])
    assert (found.low, found.value, found.high) == (0.0, 0.5, 1.0)
    assert math.isnan(mean_over_stories([], []).value)
    ratio = ratio_over_stories([True, False, True], [True, True, False], [0, 0, 0])
    assert (ratio.low, ratio.value, ratio.high) == (0.5, 0.5, 0.5)
    assert math.isnan(ratio_over_stories([True], [False], [0]).value)
    assert auc_over_stories([1, 2], [False, True], [0, 0]).low == 1.0
