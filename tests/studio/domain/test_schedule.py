"""Schedules keep to what waits for what, and to the number of workers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.domain.schedule import TaskGraph, makespan, next_task


@st.composite
def graphs(draw: st.DrawFn) -> TaskGraph:
    """Tasks of 1–9 seconds, in a random order, each of which waits for some of those before it there."""
    count = draw(st.integers(0, 12))
    order = draw(st.permutations(range(count)))
    before: list[frozenset[int]] = [frozenset()] * count
    for nth, task in enumerate(order):
        before[task] = (
            frozenset(draw(st.sets(st.sampled_from(order[:nth]), max_size=3))) if nth else frozenset()
        )
    seconds = draw(st.lists(st.integers(1, 9).map(float), min_size=count, max_size=count))
    return TaskGraph(seconds=tuple(seconds), before=tuple(before))


@given(graph=graphs(), workers=st.integers(1, 4), in_order=st.booleans())
@settings(max_examples=150)
def test_each_task_runs_once_after_those_before_it_and_workers_do_one_at_a_time(
    graph: TaskGraph, workers: int, in_order: bool
) -> None:
    slots = graph.schedule(workers, in_order=in_order)
    ends = {slot.task: slot.ends for slot in slots}
    assert sorted(ends) == list(range(len(graph.seconds)))
    for slot in slots:
        assert slot.ends - slot.begins == graph.seconds[slot.task]
        assert all(ends[other] <= slot.begins for other in graph.before[slot.task])
    for worker in range(workers):
        own = sorted((slot.begins, slot.ends) for slot in slots if slot.worker == worker)
        assert all(first[1] <= second[0] for first, second in pairwise(own))


@given(graph=graphs(), workers=st.integers(1, 4), in_order=st.booleans())
@settings(max_examples=150)
def test_the_time_lies_between_the_bound_and_grahams(graph: TaskGraph, workers: int, in_order: bool) -> None:
    time = makespan(graph.schedule(workers, in_order=in_order))
    longest = max(graph.path_seconds, default=0.0)
    assert graph.lower_bound(workers) <= time + 1e-9
    assert time <= sum(graph.seconds) / workers + (1 - 1 / workers) * longest + 1e-9


@given(graph=graphs())
@settings(max_examples=100)
def test_a_task_is_one_wave_after_the_latest_that_it_waits_for(graph: TaskGraph) -> None:
    wave = {task: nth for nth, tasks in enumerate(graph.waves) for task in tasks}
    assert sorted(wave) == list(range(len(graph.seconds)))
    for task, before in enumerate(graph.before):
        assert wave[task] == max((wave[other] + 1 for other in before), default=0)


def test_several_workers_begin_with_the_longest_path_and_one_with_the_first() -> None:
    graph = TaskGraph(seconds=(1, 1, 2, 3), before=(frozenset(), frozenset(), frozenset({1}), frozenset({2})))
    assert graph.path_seconds == (1, 6, 5, 3)
    assert [slot.task for slot in graph.schedule(1)] == [0, 1, 2, 3]
    assert [slot.task for slot in graph.schedule(2)] == [1, 0, 2, 3]


def test_tasks_stay_in_order_until_one_would_end_last() -> None:
    free = (frozenset[int](),) * 6
    graph = TaskGraph(seconds=(1, 1, 1, 1, 2, 4), before=free)
    assert [slot.task for slot in graph.schedule(2, in_order=True)] == [5, 0, 4, 1, 2, 3]
    assert next_task((0, 5), graph.path_seconds, 100, 2, in_order=True) == 0
    assert next_task((0, 5), graph.path_seconds, 100, 2, in_order=False) == 5


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        TaskGraph(seconds=(1, 1), before=(frozenset({1}), frozenset({0})))
