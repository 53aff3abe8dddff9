"""What "auto" chooses, from tables made up here and from the one that is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moc_engine.ops.backend import Need, Work
from moc_engine.ops.choice import fastest, fits
from moc_engine.ops.measured import Measured, Shape
from moc_engine.ops.registry import BUILT_IN

SHAPE = Shape(rows=4, own=512, history=2048, chunk=64, top_k=4, head=64)


def row(times: dict[str, float], *, device: str = "cpu", gradients: bool = False, **sizes: Any) -> Measured:
    shape = replace(SHAPE, **sizes)
    return Measured(device=device, machine="made up", gradients=gradients, shape=shape, times=times)


def need(*, device: str = "cpu", gradients: bool = False, **sizes: Any) -> Need:
    shape = replace(SHAPE, **sizes)
    work = Work(
        rows=shape.rows,
        tokens=shape.own,
        top_k=shape.top_k,
        head_size=shape.head,
        history_offsets=np.arange(0, shape.history + 1, shape.chunk),
    )
    return Need(form="history", device=device, history_device=device, gradients=gradients, work=work)


TABLE = (
    row({"grouped": 0.5, "naive": 2.0}, own=2048),
    row({"grouped": 3.0, "gathered": 2.0, "naive": 1.0}, own=64, history=128, chunk=8),
    row({"grouped": 9.0, "gathered": 1.0, "naive": 3.0}, own=64, history=1024, chunk=8),
    row({"grouped": 2.0, "gathered": 1.0, "naive": 0.5}, own=64, history=1024, chunk=8, gradients=True),
    row({"grouped": 1.1, "naive": 4.0}, top_k=None),
    row({"triton": 2.0, "grouped": 1.0}, device="cuda"),
)


@pytest.mark.parametrize(
    ("asked", "name", "nth"),
    [
        (need(own=1024), "grouped", 0),
        (need(own=80, history=160, chunk=8), "naive", 1),
        (need(own=80, history=800, chunk=8), "gathered", 2),
        (need(own=80, history=800, chunk=8, gradients=True), "naive", 3),
        (need(own=4096, top_k=None), "grouped", 4),
        (need(own=64, history=128, chunk=64, top_k=8), "naive", 1),  # gathered would hold too many keys
    ],
)
def test_the_nearest_row_that_was_measured_alike_decides(asked: Need, name: str, nth: int) -> None:
    assert fastest(asked, BUILT_IN, TABLE) == (name, f"measured: {TABLE[nth]}")


def test_the_row_is_named_by_its_sizes() -> None:
    assert str(TABLE[3]) == ("cpu, gradients: 4 × 64 queries, history 1024, chunks of 8, top-k 4, head 64")
    assert str(TABLE[4]) == ("cpu: 4 × 512 queries, history 2048, chunks of 64, all attended to, head 64")


def test_on_cuda_triton_is_taken_where_it_is_there() -> None:
    triton = replace(BUILT_IN["grouped"], name="triton", devices=frozenset({"cuda"}))
    assert fastest(need(device="cuda"), {**BUILT_IN, "triton": triton}, TABLE) == (
        "triton",
        "rule: triton where it is there",
    )
    without = {name: backend for name, backend in BUILT_IN.items() if name != "triton"}
    assert fastest(need(device="cuda"), without, TABLE) == ("grouped", f"measured: {TABLE[5]}")
    grouped = ("grouped", "rule: grouped where nothing alike was measured")
    assert fastest(need(device="cuda"), without, ()) == grouped
    assert fastest(need(), {**BUILT_IN, "triton": triton}, ()) == grouped
    assert fastest(need(own=64, history=128, chunk=8), {"naive": BUILT_IN["naive"]}, ()) == (
        "naive",
        "rule: the first that supports the need, as neither triton nor grouped does",
    )


def test_nothing_is_chosen_that_does_not_support_the_need() -> None:
    far = replace(need(own=80, history=800, chunk=8), history_device="cuda")
    assert fastest(far, BUILT_IN, TABLE)[0] == "naive"
    with pytest.raises(ValueError, match="none of gathered supports"):
        fastest(far, {"gathered": BUILT_IN["gathered"]}, TABLE)


def test_what_holds_all_scores_at_once_is_for_small_shots() -> None:
    short, long = need(own=48, history=600, chunk=6), need(own=48, history=25600, chunk=256)
    assert fits("gathered", short)
    assert fits("naive", short)
    assert not fits("gathered", long)
    assert fits("gathered", need(own=48, history=600, chunk=6, top_k=None))
    assert not fits(
        "gathered", need(own=48, history=60000, chunk=6, top_k=None)
    )  # all of it beside each query
    assert not fits("naive", need(own=2048))
    assert fits("masked", need(own=1024))
    assert not fits("masked", need(own=4096))
    assert not fits("naive", replace(short, work=None))
    assert fits("grouped", long)
