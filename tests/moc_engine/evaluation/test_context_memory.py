"""The measurement of what memory costs, at a tiny size."""

from __future__ import annotations

import pytest
import torch

from moc_engine.evaluation.benchmark.film import TINY
from moc_engine.evaluation.context_memory import keepings, main, measure


def test_every_way_is_measured_and_compared_with_the_plain_one() -> None:
    points = list(measure(TINY, torch.device("cpu"), shots=(2, 5), rounds=2))
    ways = keepings(TINY)
    assert [(point.keeping, point.shot) for point in points] == [(w, s) for s in (2, 5) for w in ways]
    plain, paged, filed, small, small_filed, eight = points[len(ways) :]
    assert plain.error == 0.0
    assert paged.error < 1e-5
    assert filed.error < 1e-5
    assert 0 < eight.error < 0.01
    assert small.error > eight.error  # it remembers other frames
    assert plain.copied > 0
    assert paged.copied == filed.copied == 0
    assert (plain.filed, paged.filed) == (0, 0)
    assert filed.filed > small_filed.filed > 0
    assert filed.moved > small_filed.moved > 0
    assert plain.held > eight.held > small.held
    assert all(len(point.times) == 2 for point in points)


def test_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        main(["--size", "tiny", "--rounds", "1"])
    finally:
        torch.set_num_threads(threads)
    told = capsys.readouterr().out
    assert told.count("\n| all, in full, side by side | 16 |") == 1
    channel, token = (line for line in told.splitlines() if "%" in line)
    assert channel.startswith("| channel of a chunk")
    assert token.startswith("| token and head")
