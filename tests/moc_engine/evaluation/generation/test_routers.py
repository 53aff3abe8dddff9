"""Baseline routers: their choice of the history, within the budget of MoC."""

import pytest
import torch

from moc_engine.evaluation.generation.routers import packing, radial_scores, random_scores, window_scores
from moc_engine.models.animatic.scene import SLOTS

FRAMES = 2
TOKENS = FRAMES * SLOTS


def _best(scores: torch.Tensor, query: int, count: int) -> list[tuple[int, int]]:
    """The (shot, slot) of the best chunks for a query, best first."""
    order = scores[query].sort(descending=True, stable=True).indices[:count].tolist()
    return [divmod(chunk, SLOTS) for chunk in order]


def test_a_window_has_the_nearest_slots_of_the_latest_shots() -> None:
    scores = window_scores(3, SLOTS, slots=SLOTS, tokens=TOKENS, by_slot=True)
    assert _best(scores, 4, 3) == [(2, 4), (2, 3), (2, 5)]
    assert {shot for shot, _ in _best(scores, 4, SLOTS)} == {2}
    assert {shot for shot, _ in _best(scores, SLOTS + 4, 2 * SLOTS)} == {1, 2}


def test_radial_routing_halves_the_slots_with_every_earlier_shot() -> None:
    scores = radial_scores(3, SLOTS, slots=SLOTS, tokens=TOKENS, by_slot=True)
    best = _best(scores, 0, 7)
    by_shot = [sum(shot == wanted for shot, _ in best) for wanted in (2, 1, 0)]
    assert by_shot == [4, 2, 1]


def test_frames_are_chosen_by_their_age() -> None:
    scores = window_scores(2, FRAMES, slots=SLOTS, tokens=TOKENS, by_slot=False)
    assert scores[5].argsort(descending=True).tolist() == [3, 2, 1, 0]


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


def test_random_scores_depend_on_the_story_only() -> None:
    like = torch.zeros(2, 3, 4, 5)
    both = random_scores(like, [torch.Generator().manual_seed(i) for i in (1, 2)])
    alone = random_scores(like[:1], [torch.Generator().manual_seed(1)])
    torch.testing.assert_close(both[:1], alone)
    assert not torch.equal(both[0], both[1])
