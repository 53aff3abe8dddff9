"""One take's routing against another's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moc_engine.trace.record import QueryChunk, RoutingTrace
from studio.inspect.difference import difference
from tests.fakes.traces import OWN, PLACES, made, places_of, seen, third_shot, traces


def one(part: str, shares: dict[str, float], names: tuple[str, ...] = ("Mira",)) -> RoutingTrace:
    """A part that gave these shares to takes of that name."""
    context = [OWN]
    context += [seen(name, int(take[-1])) for take in shares for name in names]
    row = [1 - sum(shares.values()), *(share / len(names) for share in shares.values() for _ in names)]
    return made(
        np.array([[[[row]]]]), query=[QueryChunk(name=part, frames=(0, 6), tokens=1)], context=context
    )


def test_what_the_right_take_drew_more_is_above_nothing() -> None:
    found = difference(one("Mira", {"take-0": 0.5}), one("Mira", {"take-0": 0.2, "take-1": 0.4}), PLACES)
    assert found.query == ("Mira",)
    assert [source.label for source in found.sources] == ["this shot", "Mira in shot 1", "Mira in shot 2"]
    assert found.table == pytest.approx(np.array([[-0.1, -0.3, 0.4]]), abs=1e-4)
    names, changes = zip(*found.shots, strict=True)
    assert names == ("shot 2", "shot 1", "the shot itself")
    assert changes == pytest.approx((0.4, -0.3, -0.1), abs=1e-4)


def test_a_new_take_of_an_earlier_shot_is_compared_with_its_old_one_by_place() -> None:
    places = {"take-0": 3, "take-1": 3}
    found = difference(one("Mira", {"take-0": 0.5}), one("Mira", {"take-1": 0.5}), places)
    assert found.table == pytest.approx(np.zeros((1, 2)))
    apart = difference(one("Mira", {"take-0": 0.5}), one("Mira", {"take-1": 0.5}), {})
    assert apart.table == pytest.approx(np.array([[0.0, -0.5, 0.5]]), abs=1e-4)


def test_parts_that_only_one_take_has_stand_by_themselves() -> None:
    found = difference(one("Mira", {"take-0": 0.5}), one("Otto", {"take-0": 0.5}), PLACES)
    assert found.query == ("Mira", "Otto")
    assert found.table == pytest.approx(np.array([[-0.5, -0.5], [0.5, 0.5]]), abs=1e-4)


def test_sources_stand_as_the_film_shows_them() -> None:
    found = difference(one("Mira", {"take-1": 0.5}), one("Mira", {"take-0": 0.5}), PLACES)
    assert [source.index for source in found.sources] == [None, 0, 1]


def test_two_of_one_name_are_both_counted() -> None:
    two = ("ball", "ball")
    found = difference(one("Mira", {}), one("Mira", {"take-0": 0.5}, two), PLACES)
    assert found.table == pytest.approx(np.array([[-0.5, 0.25, 0.25]]), abs=1e-4)


def test_takes_of_a_model_of_frames_and_one_of_places_are_compared_by_whole_shots() -> None:
    frames = [QueryChunk(name=f"frame {n}", frames=(n - 1, n), tokens=4) for n in (1, 2)]
    context = [OWN, seen("frame 1", 0), seen("frame 2", 0), seen("frame 1", 1)]
    table = np.array([[[[[0.4, 0.2, 0.1, 0.3], [0.6, 0.1, 0.2, 0.1]]]]])
    final = made(table, query=frames, context=context, grid=(2, 2))
    draft = one("Mira", {"take-2": 0.5})
    found = difference(draft, final, {"take-0": 0, "take-1": 1, "take-2": 0})  # takes 0 and 2 are of one shot
    assert found.query == ("the whole shot",)
    assert [source.label for source in found.sources] == [
        "this shot",
        "everything in shot 1",
        "everything in shot 2",
    ]
    assert found.table == pytest.approx(np.array([[0.0, -0.2, 0.2]]), abs=1e-4)
    assert dict(found.shots) == pytest.approx(
        {"shot 1": -0.2, "shot 2": 0.2, "the shot itself": 0.0}, abs=1e-4
    )


@settings(max_examples=25)
@given(traces())
def test_a_take_differs_in_nothing_from_itself(trace: RoutingTrace) -> None:
    found = difference(trace, trace, places_of(trace))
    assert not found.table.any()
    assert not any(change for _, change in found.shots)


@settings(max_examples=25)
@given(traces(), traces(), st.booleans())
def test_changes_sum_to_nothing_and_turn_round(left: RoutingTrace, right: RoutingTrace, moved: bool) -> None:
    places = {} if moved else {**places_of(left), **places_of(right)}
    found, back = difference(left, right, places), difference(right, left, places)
    assert found.table.sum() == pytest.approx(len(right.query) - len(left.query), abs=1e-3)
    assert np.sort(found.table, axis=None) == pytest.approx(np.sort(-back.table, axis=None))
    captions = (right.caption_share() or 0.0) - (left.caption_share() or 0.0)
    assert sum(change for _, change in found.shots) + captions == pytest.approx(0, abs=1e-3)


def test_the_hand_made_trace_against_one_without_its_first_shot() -> None:
    """Without shot 1: what it gave stays in the shot."""
    full = third_shot()
    rows = np.array([[[[[0.8, 0.2], [1.0, 0.0]]]]])
    context = (OWN, seen("Mira", 1))
    found = difference(full, made(rows, query=full.query, context=context), PLACES)
    told = {source.label: found.table[:, column] for column, source in enumerate(found.sources)}
    assert told["this shot"] == pytest.approx([0.3, 0.2], abs=1e-4)
    assert told["Mira in shot 1"] == pytest.approx([-0.25, 0.0], abs=1e-4)
    assert told["the ball in shot 1"] == pytest.approx([0.0, -0.2], abs=1e-4)
    assert told["Mira in shot 2"] == pytest.approx([0.05, 0.0], abs=1e-4)
    assert told["empty places in shot 2"] == pytest.approx([-0.1, 0.0], abs=1e-4)
