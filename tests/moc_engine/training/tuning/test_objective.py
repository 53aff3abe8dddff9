"""The loss of shots: errors count for more where a cache has an emphasis."""

from __future__ import annotations

from dataclasses import replace

import torch

from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.objective import flow_losses
from tests.fakes.tuning import batch_of, drawn, story


def _half_emphasised() -> TuningBatch:
    """Shots of two and three frames; the left half of the first frame of the first counts for more."""
    told = story((2, 3))
    emphasis = torch.zeros(2, 4, 6)
    emphasis[0, :, :3] = 1.0
    return batch_of(replace(told, shots=(replace(told.shots[0], emphasis=emphasis), told.shots[1])))


def test_an_error_counts_for_more_where_the_emphasis_is() -> None:
    batch = _half_emphasised()
    draw = drawn(batch)
    predicted = draw.velocity(batch.latents).clone()
    predicted[0, 0, :, 0, :, :3] += 2.0  # where the emphasis is
    plain = flow_losses(predicted, batch, draw)
    assert plain.tolist() == [[1.0, 0.0]]
    torch.testing.assert_close(
        flow_losses(predicted, batch, draw, emphasis=3.0), torch.tensor([[16.0 / 7.0, 0.0]])
    )


def test_an_error_that_is_alike_everywhere_counts_as_without_emphasis() -> None:
    batch = _half_emphasised()
    draw = drawn(batch)
    predicted = draw.velocity(batch.latents) + 2.0
    torch.testing.assert_close(
        flow_losses(predicted, batch, draw, emphasis=5.0), flow_losses(predicted, batch, draw)
    )


def test_without_an_emphasis_in_the_cache_its_strength_changes_nothing() -> None:
    batch = batch_of(story((2, 3)))
    draw = drawn(batch)
    predicted = torch.zeros_like(draw.noise)
    assert torch.equal(flow_losses(predicted, batch, draw, emphasis=5.0), flow_losses(predicted, batch, draw))
