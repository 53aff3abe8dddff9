"""Layers, heads and steps apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from moc_engine.trace.record import QueryChunk, RoutingTrace
from studio.inspect.heads import heads_of, step_names
from tests.fakes.traces import OWN, PLACES, made, places_of, seen, third_shot, traces

QUERY = (QueryChunk(name="Mira", frames=(0, 6), tokens=1),)


def test_each_layer_and_head_has_its_past_and_reach() -> None:
    """Mira, two of three tokens, keeps .5 and the ball .8: .4 of all left the shot. Of Mira's .5 layer 1 gave
    .4 two shots back and .1 one, layer 2 .1 and .4; the ball's .2 went two back.
    """
    found = heads_of(third_shot(), PLACES)
    assert found.past == pytest.approx(np.full((2, 2), 0.4), abs=1e-4)
    first = (0.5 * (2 * 0.8 + 1 * 0.2) * 2 + 0.2 * 2) / (3 * 0.4)
    second = (0.5 * (2 * 0.2 + 1 * 0.8) * 2 + 0.2 * 2) / (3 * 0.4)
    assert found.reach == pytest.approx(np.array([[first, first], [second, second]]), abs=1e-3)
    assert found.heads == ("head 1", "heads 2–3")
    assert found.step_groups == ("step 1", "steps 2–4")
    assert found.shots == ("shot 1", "shot 2")


def test_steps_are_told_by_the_expert_whose_they_are() -> None:
    trace = third_shot(routing={"experts": ["high", "high", "low", "low"]})
    assert heads_of(trace, PLACES).step_groups == ("step 1, high noise", "steps 2–4, high and low noise")
    alone = third_shot(routing={"experts": ["", "", "", ""]})
    assert heads_of(alone, PLACES).step_groups == ("step 1", "steps 2–4")


def test_steps_whose_layers_a_cache_skipped_are_told() -> None:
    trace = third_shot(routing={"step_cache": "first-block", "skipped": [[0, [1]], [2, [0, 1]]]})
    assert step_names(trace) == (
        "step 1: reused (first-block cache)",
        "steps 2–4: 1 of 3 reused (first-block cache)",
    )
    said = (": reused (first-block cache)", ": 1 of 3 reused (first-block cache)")
    assert heads_of(trace, PLACES).reused == said
    assert step_names(third_shot()) == ("step 1", "steps 2–4")


def test_spread_is_the_entropy_of_a_query_in_bits() -> None:
    table = np.zeros((3, 1, 1, 1, 5))
    table[0, ..., 0] = 1.0  # one chunk
    table[1, ..., 1:] = 0.25  # four alike
    table[2, ..., :3] = (0.5, 0.25, 0.25)
    context = [OWN, *(seen(name, shot) for shot in (0, 1) for name in ("Mira", "Otto"))]
    found = heads_of(made(table, query=QUERY, context=context), PLACES)
    assert found.spread == pytest.approx([0.0, 2.0, 1.5], abs=1e-3)
    assert np.isnan(found.reach[0, 0])
    assert found.reach[1:, 0] == pytest.approx([1.5, 2.0], abs=1e-4)


def test_groups_of_steps_and_heads_weigh_what_they_hold() -> None:
    """One head keeps all, a group of three looks back wholly: at shot 1 in the first step, at shot 2 in the
    four after it.
    """
    table = np.zeros((1, 2, 2, 1, 3))
    table[0, 0, :, 0, 0] = 1.0
    table[0, 1, 0, 0, 1] = table[0, 1, 1, 0, 2] = 1.0
    context = (OWN, seen("Mira", 0), seen("Mira", 1))
    trace = made(table, query=QUERY, context=context, heads=(1, 3), weights=(1, 4))
    found = heads_of(trace, {"take-1": 6})
    assert found.past == pytest.approx(np.array([[0.0, 1.0]]))
    assert found.reach[0, 1] == pytest.approx((2 + 4 * 1) / 5)
    assert found.steps == pytest.approx(np.array([[0.75, 0.0], [0.0, 0.75]]))
    assert found.shots == ("a take the film no longer shows", "shot 7")


def test_a_first_shot_looks_at_itself_alone() -> None:
    found = heads_of(made(np.ones((2, 1, 3, 1, 1)), query=QUERY, context=[OWN]), {})
    assert found.past.tolist() == [[0.0], [0.0]]
    assert np.isnan(found.reach).all()
    assert found.steps.shape == (3, 0)
    assert found.shots == ()


@settings(max_examples=25)
@given(traces())
def test_averages_agree_with_those_of_the_trace(trace: RoutingTrace) -> None:
    found = heads_of(trace, places_of(trace))
    past = sum(trace.shot_shares().values())
    assert np.average(found.past, axis=1, weights=trace.heads).mean() == pytest.approx(past, abs=1e-9)
    assert np.average(found.steps, axis=0, weights=trace.weights).sum() == pytest.approx(past, abs=1e-9)
    assert (found.spread >= 0).all()
    assert (found.spread <= np.log2(len(trace.context)) + 1e-9).all()
