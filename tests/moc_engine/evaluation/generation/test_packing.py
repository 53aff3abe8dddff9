"""A history averaged into the budget of MoC."""

import pytest
import torch

from moc_engine.evaluation.generation.packing import packing
from moc_engine.models.animatic.scene import SLOTS

FRAMES = 2
TOKENS = FRAMES * SLOTS


def _packing(budget: int, shots: int) -> torch.Tensor:
    return packing(budget, earlier=shots, tokens=TOKENS, slots=SLOTS)


@pytest.mark.parametrize("shots", [1, 2, 3, 7])
@pytest.mark.parametrize("budget", [0, 1, 2, 6, 18, 20])
def test_a_packed_history_is_as_large_as_its_budget(shots: int, budget: int) -> None:
    weights = _packing(budget, shots)
    assert weights.shape == (min(budget, shots * TOKENS), shots * TOKENS)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(weights)))
    assert ((weights > 0).sum(dim=0) <= 1).all()  # no token counts twice
    if budget:
        assert (weights > 0).any(dim=0).all()  # and every token counts


def test_a_history_within_the_budget_is_unchanged() -> None:
    weights = _packing(TOKENS, 1)
    assert sorted(weights.argmax(dim=1).tolist()) == list(range(TOKENS))
    assert weights.max(dim=1).values.tolist() == [1.0] * TOKENS


@pytest.mark.parametrize(
    ("budget", "sizes"), [(18, [11, 4, 2, 1]), (8, [4, 2, 1, 1]), (3, [1, 1, 0, 0]), (1, [0, 0, 0, 0])]
)
def test_older_shots_have_fewer_tokens_and_the_oldest_share_one(budget: int, sizes: list[int]) -> None:
    by_shot = _packing(budget, 4).view(-1, 4, TOKENS).sum(dim=2)
    whole = by_shot > 0.999
    assert whole.sum(dim=0).flip(0).tolist() == sizes
    assert len(by_shot) == budget == sum(sizes) + (0 in sizes)
    if 0 in sizes:
        far = sizes.count(0)
        torch.testing.assert_close(by_shot[-1, :far], torch.full((far,), 1.0 / far))


def test_slots_are_not_merged_while_each_has_a_token() -> None:
    slot = (torch.arange(2 * TOKENS) % SLOTS).float()
    averaged = _packing(2 * SLOTS + 2, 2)[:SLOTS] @ slot
    torch.testing.assert_close(averaged, averaged.round())
