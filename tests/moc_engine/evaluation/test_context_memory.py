"""The measurement of what memory costs, at a tiny size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moc_engine.evaluation.benchmark.film import TINY
from moc_engine.evaluation.context_memory import (
    embedded_memory,
    embedded_story,
    keepings,
    main,
    measure,
    random_keys,
    scaling_errors,
)


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


@pytest.mark.parametrize("nth", [0, 1])
def test_a_factor_for_each_channel_bears_channels_of_different_size(nth: int) -> None:
    """Where all are alike, one for each token loses a little less."""
    errors = scaling_errors(random_keys()[nth])
    by_channel, by_token = errors["channel of a chunk"], errors["token and head"]
    assert by_channel[0] < (0.01 if nth == 0 else by_token[0] / 2)
    assert by_channel[2] < (0.015 if nth == 0 else by_token[2] / 2)


def test_latents_of_the_embedded_model_hardly_change_with_8_bits(tmp_path: Path) -> None:
    latents, error = embedded_story(tmp_path, shots=2, steps=3)
    assert 0 < error < 0.01
    errors = scaling_errors(embedded_memory(latents))
    assert errors["channel of a chunk"][2] < 0.0035


def test_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    try:
        main(["costs", "--size", "tiny", "--rounds", "1"])
    finally:
        torch.set_num_threads(threads)
    told = capsys.readouterr().out
    assert told.count("\n| all, in full, side by side | 16 |") == 1
