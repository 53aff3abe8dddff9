"""Who is where, told from tokens in the middle of the transformer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.identity import codes, identity_loss, middle_tokens
from moc_engine.training.tuning.recipe import TuningRecipe
from tests.fakes.tuning import batch_of, drawn, story

PATCH = (1, 2, 2)
WIDTH = 16


def _told() -> TuningBatch:
    """Shots of three and two frames of 4 × 6; in the second, member 2 fills the left two columns."""
    told = story((3, 2))
    who = torch.zeros(2, 4, 6, dtype=torch.uint8)
    who[:, :, :2] = 2
    return batch_of(replace(told, shots=(told.shots[0], replace(told.shots[1], identities=who))))


def _tokens() -> torch.Tensor:
    """The right tokens of a memory and of both noisy shots, 3 frames of 2 × 3 each."""
    labels = torch.zeros(3, 3, 2, 3, dtype=torch.long)
    labels[2, :2, :, 0] = 2
    return codes(3, WIDTH)[labels.flatten(1)] * 5.0


def test_tokens_that_tell_who_is_where_have_no_loss() -> None:
    batch = _told()
    draw = drawn(batch)
    assert identity_loss(_tokens(), batch, draw, PATCH) < 1e-5
    swapped = _tokens()
    swapped[2] = swapped[2].flip(0)
    assert identity_loss(swapped, batch, draw, PATCH) > 1.0


def test_neither_what_lies_behind_a_shot_nor_one_without_a_caption_is_asked() -> None:
    batch = _told()
    draw = drawn(batch)
    wrong = _tokens()
    wrong[2, 12:] = codes(3, WIDTH)[1]  # its third frame
    assert identity_loss(wrong, batch, draw, PATCH) < 1e-5
    wrong[2] = codes(3, WIDTH)[1]
    assert identity_loss(wrong, batch, draw, PATCH) > 1.0
    without = replace(draw, without_caption=torch.tensor([[False, True]]))
    assert identity_loss(wrong, batch, without, PATCH) < 1e-5


def test_a_batch_without_labels_has_no_loss() -> None:
    batch = batch_of(story((3, 2)))
    assert batch.identities is None
    assert identity_loss(_tokens(), batch, drawn(batch), PATCH) == 0.0


def test_codes_are_orthogonal_and_stay_when_there_are_more() -> None:
    many = codes(9, WIDTH)
    torch.testing.assert_close(many @ many.T, torch.eye(9), atol=1e-6, rtol=0.0)
    assert torch.equal(many[:3], codes(3, WIDTH))
    with pytest.raises(ValueError, match="tokens of width 16 tell at most 16 apart, got 17"):
        codes(17, WIDTH)


def test_tokens_are_those_behind_the_middle_block() -> None:
    blocks = [nn.Linear(2, 2) for _ in range(4)]
    x = torch.randn(1, 2)
    with middle_tokens(blocks) as tokens:
        y = blocks[1](blocks[0](x))
        blocks[3](blocks[2](y))
    (found,) = tokens
    assert torch.equal(found, y)
    blocks[1](x)
    assert len(tokens) == 1  # it listens no longer
    with middle_tokens(()) as tokens:
        blocks[1](x)
    assert tokens == []


def test_blocks_that_are_computed_again_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match=r"^identity: .*turn checkpointing off"):
        TuningRecipe(identity=0.1)
    assert TuningRecipe(identity=0.1, checkpointing=False).identity == 0.1
