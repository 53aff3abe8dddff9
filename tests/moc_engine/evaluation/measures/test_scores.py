import pytest

from moc_engine.evaluation.measures.scores import Scores


def _found(values_by_story: list[list[float]]) -> Scores:
    found = Scores()
    for number, values in enumerate(values_by_story):
        found.story = number
        for distance, value in enumerate(values):
            found.add("shape", value, distance)
    return found


def test_a_figure_has_its_mean_and_its_means_by_distance() -> None:
    figure = _found([[1, 1, 0], [1, 0, 0]]).summaries()["shape"]
    assert figure.mean == pytest.approx(0.5)
    assert figure.count == 6
    assert figure.by_distance == {0: (1.0, 2), 1: (0.5, 2), 2: (0.0, 2)}
    assert 0.0 <= figure.low <= figure.mean <= figure.high <= 1.0


def test_intervals_resample_stories_not_single_values() -> None:
    """The same values from fewer stories give a wider interval."""
    few = _found([[1.0] * 40, [0.0] * 40, [1.0] * 40, [0.0] * 40]).summaries()["shape"]
    many = _found([[value] for value in (1.0, 0.0) * 80]).summaries()["shape"]
    assert few.mean == many.mean
    assert few.high - few.low > 3 * (many.high - many.low)


def test_the_interval_is_deterministic() -> None:
    found = _found([[1, 0], [1], [0, 0, 1]])
    assert found.summaries() == found.summaries()


def test_no_values_give_no_figure() -> None:
    assert Scores().summaries() == {}
    assert Scores().means() == {}
    assert Scores().values("shape") == []


def test_scores_of_other_stories_are_merged() -> None:
    one, other = _found([[1, 1]]), _found([[0, 0]])
    one.extend(other)
    assert one.means() == {"shape": 0.5}


@pytest.mark.parametrize("right", [True, False])
def test_a_few_stories_have_a_wide_interval_even_if_all_agree(right: bool) -> None:
    doubts = []
    for stories in (1, 4, 40):
        found = Scores()
        for found.story in range(stories):
            for _ in range(3):
                found.add("shape", right)
            found.add("pruned", 0.9)  # not a share of correct cases
        figures = found.summaries()
        assert (figures["pruned"].low, figures["pruned"].high) == pytest.approx((0.9, 0.9))
        shape = figures["shape"]
        assert (shape.high if right else shape.low) == shape.mean == right
        doubts.append(shape.high - shape.low)
    assert doubts[0] > doubts[1] > doubts[2] > 0.0


def test_another_error_never_raises_the_lower_bound() -> None:
    lows = []
    for mistakes in range(12):
        found = Scores()
        for number in range(80):
            found.story = number // 8
            found.add("shape", number % 10 >= mistakes % 10 + mistakes // 10)
        lows.append((found.summaries()["shape"].mean, found.summaries()["shape"].low))
    lows.sort()
    assert [low for _, low in lows] == sorted(low for _, low in lows)
