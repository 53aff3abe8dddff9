"""Predictors on a small trace: two context shots of two chunks, one of them an empty slot."""

import numpy as np
import pytest

from moc_engine.evaluation.measures.predictors import CONTEXT_SHARE, LARGEST_SHOWN, baselines, predictors
from moc_engine.trace.record import EMPTY, ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.units import in_units

NAMES = ("Mira", f"prop 1{EMPTY}")


@pytest.fixture
def trace() -> RoutingTrace:
    """One layer, one head, two groups of one step; columns own, Mira and nothing of shot 0, then of shot 1.

    Mira's attention is .3 to herself in shot 0 and .1 in shot 1; the empty slot's is .6 to that of shot 1.
    """
    rows = [[0.6, 0.3, 0.0, 0.1, 0.0], [0.4, 0.0, 0.0, 0.0, 0.6]]
    table = np.array([[[rows, rows]]])
    picks = np.array([[[[[0, 1, 0, 1, 0], [0, 0, 0, 0, 2]]] * 2]], dtype=np.uint32)
    return RoutingTrace(
        shot=2,
        model="none",
        backend="naive",
        routing={},
        steering={},
        query=tuple(QueryChunk(name=name, frames=(0, 3), tokens=1) for name in NAMES),
        context=(
            ContextChunk(kind="own", name="own shot", shot=2),
            *(ContextChunk(kind="history", name=n, shot=shot, take="") for shot in (0, 1) for n in NAMES),
        ),
        step_groups=((0, 1), (1, 2)),
        weights=(1, 1),
        heads=(1,),
        token_run=1,
        table=in_units(table),
        picks=picks,
        token_table=in_units(np.array(rows)),
    )


def test_each_predictor_has_the_value_its_name_says(trace: RoutingTrace) -> None:
    expected = {
        CONTEXT_SHARE: (0.3, 0.7),  # of .15 and .35 over both queries
        "share of all attention": (0.15, 0.35),
        "share of context, first steps": (0.3, 0.7),
        "share of context, last steps": (0.3, 0.7),
        "share of context, layer 1": (0.3, 0.7),
        "share of context, shown chunks": (0.75, 0.25),  # only Mira
        "largest chunk": (0.3, 0.6),  # .15 and .3 of .5
        "largest share of a query chunk": (0.75, 1.0),
        LARGEST_SHOWN: (0.75, 0.25),
        "largest share of a head": (0.3, 0.7),
        "times chosen": (0.25, 0.75),
    }
    found = predictors(trace)
    assert set(found) == set(expected)
    for name, shares in expected.items():
        assert tuple(found[name].values()) == pytest.approx(shares, abs=1e-4), name


def test_the_share_equals_that_of_the_studio(trace: RoutingTrace) -> None:
    shares = trace.shot_shares()
    total = sum(shares.values())
    assert predictors(trace)[CONTEXT_SHARE] == pytest.approx({s: v / total for s, v in shares.items()})


def test_predictors_without_a_trace() -> None:
    near, common = baselines(3, {0: 2, 2: 0}).values()
    assert near == {0: -3.0, 2: -1.0}
    assert common == {0: 2.0, 2: 0.0}
