"""Drift of hand-made appearances: against the first look, or the last that a caption told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moc_engine.drift import Drift, Scene, drift_of
from moc_engine.trace import EMPTY, QueryChunk
from tests.fakes.traces import made, seen

CAST = ("Mira", "Otto")
SOURCES = ("Mira", "Otto", "beach")


def shot(place: int, told: tuple[str, ...] = (), **looks: tuple[float, float] | None) -> Scene:
    """A shot that shows these looks; each part drew 30% of its past from Mira in shot 1, 70% from Otto."""
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
        shot=place,
        looks=vectors,
        visible=0.5,
        moments=(0.5,),
        boxes=boxes,
    )
    return Scene(place=place, take=f"take-{place}", trace=trace, told=frozenset(told))


def of(name: str, found: tuple[Drift, ...]) -> Drift:
    return next(drift for drift in found if drift.name == name)


def test_a_look_is_measured_against_the_first_appearance() -> None:
    found = drift_of([shot(0, Mira=(0, 0)), shot(2, Mira=(0.3, 0.4)), shot(3, Mira=(0, 0.1))], CAST)
    first, far, near = of("Mira", found).appearances
    assert (first.distance, first.share, first.anchor) == (None, None, 0)
    assert (far.distance, far.drifted, far.place) == (pytest.approx(1.0), True, 2)
    assert (near.distance, near.drifted) == (pytest.approx(0.2), False)
    assert far.share == pytest.approx(0.3, abs=1e-3)


def test_what_misleads_are_the_earlier_appearances_but_the_deciding_one() -> None:
    changed = shot(1, ("Mira",), Mira=(3, 3))
    story = [shot(0, Mira=(0, 0)), changed, *(shot(n, Mira=(0, 0)) for n in (2, 3))]
    drift = of("Mira", drift_of(story, CAST))
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
    appearances = of("Mira", drift_of(story, CAST)).appearances
    assert [a.drifted for a in appearances] == [False, False, False, True]
    assert [a.anchor for a in appearances] == [0, 1, 1, 1]
    assert appearances[2].share is None  # its take could not see the one that decides


def test_sets_count_and_props_and_empty_places_do_not() -> None:
    story = [shot(n, Mira=None, beach=(0, n), kite=(n, n), **{f"prop 2{EMPTY}": (n, n)}) for n in range(2)]
    found = drift_of(story, CAST)
    assert [drift.name for drift in found] == ["beach"]
    assert found[0].appearances[1].drifted


def test_who_appears_once_or_in_traces_without_looks_is_left_out() -> None:
    alone = shot(0, Mira=(0, 0))
    unseen = shot(1, Mira=(9, 9))
    assert drift_of([alone], CAST) == ()
    assert drift_of([alone, replace(unseen, trace=replace(unseen.trace, looks=None))], CAST) == ()
