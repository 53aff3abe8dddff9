"""The measured table: its file, and below how many tokens attention is full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moc_engine.ops.measured import (
    MOST_TOKENS,
    UNMEASURED_FULL_BELOW,
    Measured,
    Shape,
    full_attention_below,
    measured,
)

SHAPE = Shape(rows=4, own=512, history=2048, chunk=64, top_k=4, head=64)


def row(time: float, *, gradients: bool = False, **sizes: Any) -> Measured:
    shape = replace(SHAPE, **sizes)
    return Measured(
        device="cpu", machine="made up", gradients=gradients, shape=shape, times={"grouped": time}
    )


def test_attention_is_full_below_where_routing_pays() -> None:
    # 2560 pairs against 768 in half the time: an efficiency of .6, so routing pays from a ratio of 1 / .6
    table = (row(0.5), row(0.9, rows=1, own=256))
    below = full_attention_below("cpu", SHAPE, "grouped", table)
    assert replace(SHAPE, history=below - SHAPE.own).pair_ratio == pytest.approx(1 / 0.6, rel=0.15)
    assert below == full_attention_below("cpu", replace(SHAPE, history=9), "grouped", table)


def test_routing_pays_always_or_never() -> None:
    assert full_attention_below("cpu", SHAPE, "grouped", (row(0.1, own=32),)) == 0
    assert full_attention_below("cpu", SHAPE, "grouped", (row(1.1),)) == MOST_TOKENS


def test_less_work_than_in_any_row_that_pays_does_not_pay() -> None:
    below = full_attention_below("cpu", replace(SHAPE, own=128), "grouped", (row(0.1),))
    assert below == pytest.approx(4 * (512 + 2048), rel=0.15)


def test_where_nothing_was_measured_a_constant_holds() -> None:
    table = (row(0.5, gradients=True), row(0.5, top_k=None))
    assert full_attention_below("cpu", SHAPE, "grouped", table) == UNMEASURED_FULL_BELOW
    assert full_attention_below("cuda", SHAPE, "grouped", (row(0.5),)) == UNMEASURED_FULL_BELOW
    assert full_attention_below("cpu", SHAPE, "swift", (row(0.5),)) == UNMEASURED_FULL_BELOW


def test_ratios_and_distances() -> None:
    assert SHAPE.pair_ratio == 2560 / 768
    assert replace(SHAPE, top_k=None).pair_ratio == 1
    assert replace(SHAPE, history=100).pair_ratio == 1
    assert SHAPE.distance(replace(SHAPE, own=2048, rows=8)) == pytest.approx(5**0.5)


def test_the_measured_table_is_whole() -> None:
    rows = measured()
    assert {row.device for row in rows} >= {"cpu", "cuda"}
    assert {row.gradients for row in rows if row.device == "cpu"} == {False, True}
    for row in rows:
        assert row.times.keys() <= {"naive", "grouped", "gathered", "masked", "triton"}
        assert all(time > 0 for time in row.times.values())
        assert all(size is None or size > 0 for size in vars(row.shape).values())


def test_auto_routes_nowhere_that_it_was_measured_to_be_5_percent_slower() -> None:
    slower = [
        row
        for row in measured()
        if row.device == "cpu"
        and not row.gradients
        and row.shape.top_k
        and row.times.get("grouped", 0.0) > 1.05
    ]
    assert len(slower) > 10
    for row in slower:
        below = full_attention_below("cpu", row.shape, "grouped")
        assert row.shape.own + row.shape.history < below, str(row)
