import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.training.recipes import RECIPES, cpu
from moc_engine.training.schedule import rate_at, stage_at


@pytest.mark.parametrize("name", RECIPES)
def test_stages_cover_a_run_and_grow_sparser_and_longer(name: str) -> None:
    stages = RECIPES[name]().stages
    assert [s.until for s in stages] == sorted({s.until for s in stages})
    assert stages[-1].until == 1.0
    sparsity = [s.top_k or 10**6 for s in stages]
    assert sparsity == sorted(sparsity, reverse=True)
    assert [s.shots[1] for s in stages] == sorted(s.shots[1] for s in stages)
    assert all(s.shots[0] >= 2 and s.cast[1] <= 8 for s in stages)
    assert RECIPES[name]().routing.top_k == stages[-1].top_k


def test_a_stage_begins_where_the_one_before_ends() -> None:
    stages = cpu().stages
    assert stage_at(stages, 0.0) is stages[0]
    assert stage_at(stages, stages[0].until) is stages[1]
    assert stage_at(stages, 1.0) is stages[-1]


@given(steps=st.integers(10, 5000), warm_up=st.integers(1, 500), cool_down=st.floats(0.05, 0.9))
def test_the_rate_stays_within_its_bounds_and_ends_near_nothing(
    steps: int, warm_up: int, cool_down: float
) -> None:
    rates = [rate_at(s, steps=steps, warm_up=warm_up, cool_down=cool_down) for s in range(steps)]
    assert all(0.0 < rate <= 1.0 for rate in rates)
    assert rates[-1] <= max(1 / warm_up, 1 / (cool_down * steps)) + 1e-9
    assert rate_at(steps, steps=steps, warm_up=warm_up, cool_down=cool_down) == 0.0


def test_the_middle_does_not_depend_on_the_length_of_the_run() -> None:
    assert {rate_at(500, steps=s, warm_up=100, cool_down=0.2) for s in (1000, 2000, 9000)} == {1.0}
