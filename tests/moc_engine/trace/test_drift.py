"""Drift of hand-made appearances from the first look, or from the last that a caption described."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from moc_engine.trace.drift import Drift, ShotSightings, drift_of, sightings
from moc_engine.trace.record import EMPTY, Portraits, QueryChunk
from tests.fakes.traces import OWN, made, seen

CAST = ("Mira", "Otto")
SOURCES = ("Mira", "Otto", "beach")


def shot(index: int, told: tuple[str, ...] = (), **looks: tuple[float, float] | None) -> ShotSightings:
    """A shot with these looks; each part attends to earlier takes: 30% to Mira in shot 1, 70% to Otto."""
    names = tuple(looks)
    query = [QueryChunk(name=name, frames=(0, 6), tokens=1) for name in names]
    context = [seen(name, 0) for name in SOURCES]
    shares = np.tile([0.3, 0.7, 0.0], (1, 1, 1, len(names), 1))
    vectors = np.array([look or (np.nan, np.nan) for look in looks.values()])
    boxes = np.zeros((1, len(names), 4))
    boxes[:, [nth for nth, name in enumerate(names) if name == "beach"]] = (0, 0, 1, 1)
    trace = made(
        shares,
        query=query,
        context=context,
        shot=index,
        looks=vectors,
        visible=0.5,
        moments=(0.5,),
        boxes=boxes,
    )
    return ShotSightings(
        index=index,
        take=f"take-{index}",
        visible=0.5,
        seen=sightings(trace, CAST),
        described=frozenset(told),
    )


def of(name: str, found: tuple[Drift, ...]) -> Drift:
    return next(drift for drift in found if drift.name == name)


def test_a_look_is_measured_against_the_first_appearance() -> None:
    found = drift_of([shot(0, Mira=(0, 0)), shot(2, Mira=(0.3, 0.4)), shot(3, Mira=(0, 0.1))])
    first, far, near = of("Mira", found).appearances
    assert (first.distance, first.share, first.anchor) == (None, None, 0)
    assert (far.distance, far.drifted, far.index) == (pytest.approx(1.0), True, 2)
    assert (near.distance, near.drifted) == (pytest.approx(0.2), False)
    assert far.share == pytest.approx(0.3, abs=1e-3)


def test_what_misleads_are_the_earlier_appearances_but_the_deciding_one() -> None:
    changed = shot(1, ("Mira",), Mira=(3, 3))
    story = [shot(0, Mira=(0, 0)), changed, *(shot(n, Mira=(0, 0)) for n in (2, 3))]
    drift = of("Mira", drift_of(story))
    assert drift.misleading(drift.appearances[3]) == (0, 2)
    assert drift.misleading(drift.appearances[1]) == (0,)
    assert drift.misleading(drift.appearances[0]) == ()


def test_a_caption_that_tells_a_look_decides_it_anew() -> None:
    story = [
        shot(0, Mira=(0, 0)),
        shot(1, ("Mira",), Mira=(3, 3)),
        shot(2, Mira=(3, 3)),
        shot(3, Mira=(0, 0)),
    ]
    appearances = of("Mira", drift_of(story)).appearances
    assert [a.drifted for a in appearances] == [False, False, False, True]
    assert [a.anchor for a in appearances] == [0, 1, 1, 1]
    assert appearances[2].share is None  # its take could not see the one that decides


def test_sets_count_and_props_and_empty_places_do_not() -> None:
    story = [
        shot(n, Mira=None, beach=(0, n), kite=(n, n), **cast(Any, {f"prop 2{EMPTY}": (n, n)}))
        for n in range(2)
    ]
    found = drift_of(story)
    assert [drift.name for drift in found] == ["beach"]
    assert found[0].appearances[1].drifted


def test_who_appears_once_is_left_out() -> None:
    assert drift_of([shot(0, Mira=(0, 0))]) == ()


def test_traces_without_looks_saw_nobody() -> None:
    query = [QueryChunk(name="Mira", frames=(0, 6), tokens=1)]
    assert sightings(made(np.ones((1, 1, 1, 1, 1)), query=query, context=[OWN]), CAST) == ()


def test_a_cast_member_called_like_a_set_is_not_the_set() -> None:
    body = QueryChunk(name="beach", frames=(0, 6), tokens=1)
    boxes = np.array([[(0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.3, 0.9)]])
    looks = np.array([(0.0, 0.0), (5.0, 5.0)])
    trace = made(
        np.ones((1, 1, 1, 2, 1)), query=[body, body], context=[OWN], looks=looks, moments=(0.5,), boxes=boxes
    )
    seen = sightings(trace, ("beach",))
    assert [(one.fills_picture, tuple(one.look)) for one in seen] == [(True, (0.0, 0.0)), (False, (5.0, 5.0))]


def test_who_is_there_twice_is_seen_once() -> None:
    twice = QueryChunk(name="Mira", frames=(0, 6), tokens=1)
    looks = np.array([(0.0, 0.0), (5.0, 5.0)])
    trace = made(np.ones((1, 1, 1, 2, 1)), query=[twice, twice], context=[OWN], looks=looks)
    assert [tuple(one.look) for one in sightings(trace, CAST)] == [(0.0, 0.0)]


def test_the_other_half_of_a_split_take_misleads_nobody() -> None:
    first = shot(0, Mira=(0, 0))
    halves = [first, replace(first, index=1), shot(2, Mira=(9, 9))]
    (drift,) = drift_of(halves)
    assert drift.misleading(drift.appearances[2]) == ()


def portrayed(
    index: int, model: str, vector: tuple[float, float], sources: tuple[float, float]
) -> ShotSightings:
    """A shot in which a model's own features see Mira, who attends this much to shots 1 and 2."""
    frame = QueryChunk(name="frame 1", frames=(0, 1), tokens=1)
    context = [OWN, seen("frame 1", 0), seen("frame 1", 1)]
    told = Portraits(names=("Mira",), vectors=np.array([vector]), shares=np.array([[0.5, *sources]]))
    trace = made(np.full((1, 1, 1, 1, 3), 1 / 3), query=[frame], context=context, portraits=told)
    found = sightings(trace, CAST)
    return ShotSightings(
        index=index, take=f"take-{index}", visible=0.5, seen=found, described=frozenset(), model=model
    )


def test_portraits_are_held_against_those_of_the_same_model() -> None:
    scenes = [
        portrayed(0, "a", (1.0, 0.0), (0.0, 0.0)),
        portrayed(1, "a", (0.6, 0.8), (0.5, 0.0)),
        portrayed(2, "b", (0.0, 1.0), (0.1, 0.4)),
        portrayed(3, "b", (0.0, 1.0), (0.1, 0.4)),
    ]
    (mira,) = drift_of(scenes)
    first, second, other, last = mira.appearances
    assert (first.distance, other.distance, last.distance) == (None, None, 0.0)
    assert second.distance == pytest.approx(0.8**0.5 / 0.5)
    assert (second.share, second.part) == (1.0, False)
    assert (other.anchor, last.anchor) == (2, 2)
