"""Tables for other tools hold what the trace holds."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from pyarrow import parquet

from moc_engine.trace.record import RoutingTrace
from studio.inspect.trace_tables import COLUMNS, FORMATS, csv_of, npz_of, parquet_of
from tests.fakes.traces import third_shot, traces


def rows(trace: RoutingTrace) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_of(trace).decode(), newline="")))


def test_a_row_tells_all_of_its_cell() -> None:
    picks = np.arange(2 * 2 * 2 * 2 * 7, dtype=np.uint32).reshape(2, 2, 2, 2, 7)
    read = rows(third_shot(picks=picks))
    assert tuple(read[0]) == COLUMNS
    assert [(row["part"], row["kind"], row["source"]) for row in read[:5]] == [
        ("Mira", "own", "own shot"),
        ("Mira", "history", "Mira"),
        ("Mira", "history", "prop 2 (empty)"),
        ("the ball", "own", "own shot"),
        ("the ball", "history", "the ball"),
    ]
    last = read[-1]
    assert (last["layer"], last["heads"], last["steps"]) == ("2", "2-3", "2-4")
    assert (last["source_shot"], last["source_take"]) == ("1", "take-0")
    assert float(last["share"]) == pytest.approx(0.2, abs=1e-4)
    assert int(last["picks"]) == picks[1, 1, 1, 1, 2]


@settings(max_examples=25)
@given(traces())
def test_the_shares_of_a_part_sum_to_one_in_each_layer_head_and_step(trace: RoutingTrace) -> None:
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for row in rows(trace):
        sums[row["layer"], row["heads"], row["steps"], row["part"]] += float(row["share"])
    names = [chunk.name for chunk in trace.query]
    layers, heads, groups, *_ = trace.table.shape
    assert len(sums) == layers * heads * groups * len(set(names))
    for (*_, part), total in sums.items():
        assert total == pytest.approx(names.count(part), abs=1e-3)


@settings(max_examples=25)
@given(traces())
def test_npz_is_read_back_as_it_was(trace: RoutingTrace) -> None:
    with np.load(io.BytesIO(npz_of(trace))) as read:
        assert set(read) == {"table", "picks", "token_map", "labels"}
        assert np.array_equal(np.round(read["table"] * 65535.0), trace.table)
        assert np.array_equal(read["picks"], trace.picks)
        assert np.array_equal(np.round(read["token_map"] * 65535.0), trace.token_table)
        labels: dict[str, Any] = json.loads(str(read["labels"]))
    assert [chunk["name"] for chunk in labels["query"]] == [chunk.name for chunk in trace.query]
    assert [chunk["take"] for chunk in labels["context"]] == [chunk.take for chunk in trace.context]
    assert tuple(labels["heads"]) == trace.heads
    assert labels["shot"] == trace.shot


@settings(max_examples=25)
@given(traces())
def test_parquet_holds_the_rows_of_the_csv(trace: RoutingTrace) -> None:
    table = parquet.read_table(io.BytesIO(parquet_of(trace)))
    assert tuple(table.column_names) == COLUMNS
    read = [{name: str(value) for name, value in row.items()} for row in table.to_pylist()]
    assert read == rows(trace)


def test_every_format_has_a_name() -> None:
    assert set(FORMATS) == {"csv", "npz", "parquet"}
    assert all(FORMATS[kind](third_shot()) for kind in FORMATS)
