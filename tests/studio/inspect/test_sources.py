"""Columns of a trace by name and place, and what was drawn from each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from moc_engine.trace.record import EMPTY, RoutingTrace
from studio.inspect.sources import NOBODY, by_source, ranked, shot_name, sources_of
from tests.fakes.traces import PLACES, places_of, third_shot, traces


def test_sources_are_named_by_who_and_where_they_stand_now() -> None:
    sources = sources_of(third_shot(), {"take-0": 4})
    assert [source.label for source in sources] == [
        "this shot",
        "Mira in shot 5",
        "the ball in shot 5",
        f"{NOBODY} in shot 5",
        "Mira in a take the film no longer shows",
        f"{NOBODY} in a take the film no longer shows",
    ]
    assert [source.columns for source in sources] == [(0,), (1,), (2,), (3,), (4,), (5, 6)]
    assert [source.steerable for source in sources] == [False, True, True, False, True, False]
    assert {source.take for source in sources} == {None, "take-0", "take-1"}
    assert shot_name(2) == "shot 3"


def test_what_was_drawn_is_ranked_by_share() -> None:
    trace = third_shot(picks=np.full((2, 2, 2, 2, 7), 1, dtype=np.uint32))
    drawn = ranked(trace.shares(query=0), trace.counts(query=0), sources_of(trace, PLACES))
    assert [(item.source.label, item.picks) for item in drawn] == [
        ("this shot", 8),
        ("Mira in shot 1", 8),
        ("Mira in shot 2", 8),
        (f"{NOBODY} in shot 2", 16),
    ]
    assert [item.share for item in drawn] == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=1e-4)


@settings(max_examples=25)
@given(traces())
def test_each_parts_shares_sum_to_one_over_all_sources(trace: RoutingTrace) -> None:
    sources = sources_of(trace, places_of(trace))
    shares = by_source(trace.by_query(), sources)
    assert shares.sum(axis=-1) == pytest.approx(1, abs=1e-3)
    assert by_source(trace.token_map(), sources).sum(axis=-1) == pytest.approx(1, abs=1e-3)
    by_kind = {
        kind: shares[:, [source.kind == kind for source in sources]].sum()
        for kind in ("own", "history", "caption")
    }
    assert sum(by_kind.values()) == pytest.approx(len(trace.query), abs=1e-3)
    parts = trace.shares()
    total = trace.own_share() + sum(trace.shot_shares().values()) + (trace.caption_share() or 0.0)
    assert total == pytest.approx(parts.sum(), abs=1e-9)


@settings(max_examples=25)
@given(traces())
def test_every_column_belongs_to_one_source(trace: RoutingTrace) -> None:
    sources = sources_of(trace, places_of(trace))
    columns = [column for source in sources for column in source.columns]
    assert sorted(columns) == list(range(len(trace.context)))
    for source in sources:
        for column in source.columns:
            chunk = trace.context[column]
            empty = chunk.kind == "history" and chunk.name.endswith(EMPTY)
            assert (chunk.kind, chunk.take) == (source.kind, source.take)
            assert source.name == (NOBODY if empty else chunk.name)
    summed = by_source(trace.picks, sources)
    assert (summed.sum(axis=-1) == trace.picks.sum(axis=-1)).all()


@settings(max_examples=25)
@given(traces())
def test_what_is_ranked_is_all_there_is(trace: RoutingTrace) -> None:
    drawn = ranked(trace.shares(), trace.counts(), sources_of(trace, places_of(trace)))
    shares = [item.share for item in drawn]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert all(share > 0 for share in shares)
