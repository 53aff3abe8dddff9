"""Routing traces: shares by layer, head, step and token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moc_engine.trace.record import EMPTY, RoutingTrace
from tests.fakes.recorded_trace import small_trace


def test_shares_are_sliced_and_sum_to_one() -> None:
    trace = small_trace()
    own, first, second = trace.own_share(), *trace.shot_shares().values()
    assert own == pytest.approx(0.5 * 0.75 + 0.6 * 0.25, abs=1e-4)
    assert first == pytest.approx(0.25 * 0.75 + 0.15 * 0.25, abs=1e-4)
    assert second == pytest.approx(0.25, abs=1e-4)
    assert own + first + second == pytest.approx(1, abs=1e-12)
    assert trace.caption_share() is None
    assert trace.shares(layer=0)[2:4] == pytest.approx([first, 0], abs=1e-4)
    assert trace.shares(layer=1)[2:4] == pytest.approx([0, first], abs=1e-4)
    assert trace.shares(query=1) == pytest.approx([0.25, 0.25, 0.125, 0.125, 0.1875, 0.0625], abs=1e-4)
    assert trace.by_layer().sum(axis=-1) == pytest.approx(1)
    assert trace.by_query()[1] == pytest.approx(trace.shares(query=1))
    assert trace.shares(layer=1, head=0, group=3, query=0).sum() == pytest.approx(1)


def test_links_name_shot_take_and_share() -> None:
    strong, weak = small_trace().links()
    assert (strong.shot, strong.source, strong.take) == (2, 1, "take-1")
    assert (weak.source, weak.take) == (0, "take-0")
    assert strong.share > weak.share > 0.2


def test_the_strongest_hold_is_by_part_of_the_picture() -> None:
    trace = small_trace()
    second = trace.query[1].name  # of what it drew from the past, as much came from either take
    first = trace.by_query()[0]
    assert trace.strongest() == {
        "take-0": (second, pytest.approx(0.5, abs=1e-3)),
        "take-1": (trace.query[0].name, pytest.approx(first[4:].sum() / first[2:].sum(), abs=1e-3)),
    }
    nobody = tuple(replace(chunk, name=f"{chunk.name}{EMPTY}") for chunk in trace.query)
    assert replace(trace, query=nobody).strongest() == {"take-0": ("", 0.0), "take-1": ("", 0.0)}


def test_captions_in_the_sequence_have_their_share() -> None:
    trace = small_trace(captions=True)
    captions = trace.caption_share()
    assert captions is not None
    assert captions == pytest.approx(0.25 * 0.75 + 0.25 * 0.25, abs=1e-4)
    assert trace.own_share() + captions + sum(trace.shot_shares().values()) == pytest.approx(1)
    assert [link.source for link in trace.links()] == [0]


def test_the_token_map_averages_layers_heads_and_steps() -> None:
    trace = small_trace()
    shares = trace.token_map()
    assert shares.shape == (4, 6)
    assert shares[0] == pytest.approx([0.3, 0.3, 0.075, 0.075, 0.1875, 0.0625], abs=1e-4)
    assert shares[3] == pytest.approx(trace.shares(query=1), abs=1e-4)
    assert trace.token_runs() == ((0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 1))


def test_picks_count_what_was_routed() -> None:
    trace = small_trace()
    assert trace.counts().tolist() == [0, 0, 32, 32, 0, 0]
    assert trace.counts(layer=0, query=0).tolist() == [0, 0, 24, 0, 0, 0]
    assert trace.counts(layer=0, head=1, group=0, query=1).tolist() == [0, 0, 1, 0, 0, 0]


def test_what_tokens_looked_at_is_weighed() -> None:
    trace = small_trace()
    tokens = sum(chunk.tokens for chunk in trace.query)
    even = trace.attended_by(np.ones(tokens))
    assert even == pytest.approx(trace.shares(), abs=1e-3)
    chunks = np.repeat(np.arange(len(trace.query)), [chunk.tokens for chunk in trace.query])
    first = trace.attended_by(3.0 * (chunks == 0))
    assert first == pytest.approx(trace.shares(query=0), abs=1e-3)
    runs = replace(trace, token_run=2, token_table=trace.token_table[[at for at, *_ in _runs_of_two(trace)]])
    assert runs.attended_by(np.ones(tokens)).sum() == pytest.approx(1.0)


def _runs_of_two(trace: RoutingTrace) -> list[tuple[int, int]]:
    """The first token of each run of two within a chunk, and how many it has."""
    runs, start = [], 0
    for chunk in trace.query:
        runs += [(start + at, min(2, chunk.tokens - at)) for at in range(0, chunk.tokens, 2)]
        start += chunk.tokens
    return runs
