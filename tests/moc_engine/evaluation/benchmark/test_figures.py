import numpy as np
import pytest
import torch

from moc_engine.evaluation.benchmark.figures import (
    Pairs,
    count_pairs,
    crossover,
    efficiency,
    pairs_in_words,
    ratios,
    spread,
)


def test_pairs_are_counted_by_the_lengths_of_chunks() -> None:
    chosen = torch.tensor([[[0, 2], [1, -1], [-1, -1]]])  # one row of three queries
    pairs = count_pairs(chosen, np.array([0, 3, 5, 12]), keys=12, always=4)
    assert pairs == Pairs(dense=3 * 12, attended=3 * 4 + (3 + 7) + 2)
    assert pairs.ratio == 36 / 24


def test_efficiency_is_the_speed_up_over_the_ratio_of_pairs() -> None:
    assert efficiency(4.6, Pairs(dense=589, attended=100)) == pytest.approx(4.6 / 5.89)
    assert efficiency(2.0, Pairs(dense=200, attended=100)) == 1.0


def test_spreads_and_ratios_go_round_by_round() -> None:
    found = spread([4.0, 1.0, 2.0, 3.0, 5.0])
    assert (found.low, found.median, found.high, found.rounds) == (2.0, 3.0, 4.0, 5)
    assert ratios([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]).median == 3.0
    with pytest.raises(ValueError, match="numbers"):
        spread([])


def test_ratios_of_unsteady_rounds_are_those_of_the_rounds() -> None:
    dense, routed = [0.4, 0.4, 3.0], [2.4, 18.0, 18.0]  # a machine that stalls: medians 0.4 and 18
    found = ratios(dense, routed)
    assert found.median == pytest.approx(1 / 6)
    assert not found.steady
    assert spread([1.0, 1.1, 1.2]).steady
    assert str(spread([1.0, 2.0, 3.0])) == "2.00 (1.50–2.50)"


def test_equal_numbers_of_pairs_are_not_called_fewer() -> None:
    assert pairs_in_words(1.001) == "the same number of pairs"
    assert pairs_in_words(1.09) == "1.09 times fewer pairs"
    assert pairs_in_words(12.19, digits=1) == "12.2 times fewer pairs"


def test_the_crossover_is_where_routing_stays_faster() -> None:
    assert crossover([(4, 0.8), (8, 1.1), (16, 0.9), (32, 1.2), (64, 3.0)]) == 32
    assert crossover([(4, 1.0), (8, 2.0)]) == 4
    assert crossover([(4, 0.9)]) is None
