"""The baselines: what each chooses of a history, and that none has more than MoC."""

import pytest
import torch

from moc_engine.animatic.scene import SLOTS
from moc_engine.evaluation.routers import packed, radial_scores, random_scores, window_scores
from moc_engine.training.attention import Memories, chunk_descriptors

FRAMES = 2
TOKENS = FRAMES * SLOTS


def _best(scores: torch.Tensor, query: int, count: int) -> list[tuple[int, int]]:
    """(shot, slot) of the best chunks for a query, the best first."""
    order = scores[query].sort(descending=True, stable=True).indices[:count].tolist()
    return [divmod(chunk, SLOTS) for chunk in order]


def test_a_window_is_the_last_shot_and_what_lies_beside_first() -> None:
    scores = window_scores(3, SLOTS, slots=SLOTS, tokens=TOKENS, by_slot=True)
    assert _best(scores, 4, 3) == [(2, 4), (2, 3), (2, 5)]
    assert {shot for shot, _ in _best(scores, 4, SLOTS)} == {2}
    assert {shot for shot, _ in _best(scores, SLOTS + 4, 2 * SLOTS)} == {1, 2}


def test_radial_sees_half_as_many_slots_of_every_shot_further_back() -> None:
    scores = radial_scores(3, SLOTS, slots=SLOTS, tokens=TOKENS, by_slot=True)
    best = _best(scores, 0, 7)
    by_shot = [sum(shot == wanted for shot, _ in best) for wanted in (2, 1, 0)]
    assert by_shot == [4, 2, 1]


def test_frames_are_chosen_by_their_age() -> None:
    scores = window_scores(2, FRAMES, slots=SLOTS, tokens=TOKENS, by_slot=False)
    assert scores[5].argsort(descending=True).tolist() == [3, 2, 1, 0]


def _memories(shots: int) -> Memories:
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(1, 2, shots, TOKENS, 4, generator=generator)
    return Memories(
        keys=keys, values=keys + 1.0, descriptors=chunk_descriptors(keys, slots=SLOTS, chunking="track")
    )


@pytest.mark.parametrize("shots", [1, 2, 3, 7])
@pytest.mark.parametrize("budget", [0, 1, 2, 6, 18, 20])
def test_a_packed_history_is_as_large_as_its_budget(shots: int, budget: int) -> None:
    small = packed(_memories(shots), budget)
    assert small.keys.shape == small.values.shape
    assert small.keys.shape[2] == 1
    assert small.keys.shape[3] == min(budget, shots * TOKENS)
    assert small.keys.isfinite().all()


def test_a_history_that_fits_is_kept_as_it_is() -> None:
    whole = _memories(1)
    small = packed(whole, TOKENS)
    torch.testing.assert_close(small.keys[0, 0, 0].sort(dim=0).values, whole.keys[0, 0, 0].sort(dim=0).values)


@pytest.mark.parametrize(("budget", "sizes"), [(18, [11, 4, 2, 1]), (8, [4, 2, 1, 1]), (3, [1, 1]), (1, [])])
def test_older_shots_have_fewer_tokens_and_those_too_far_back_share_one(
    budget: int, sizes: list[int]
) -> None:
    whole = _memories(4)
    small = packed(whole, budget).values[0, 0, 0]
    at = 0
    for back, size in enumerate(sizes):
        part, shot = small[at : at + size], whole.values[0, 0, 3 - back]
        assert part.min() >= shot.min() - 1e-6
        assert part.max() <= shot.max() + 1e-6
        if size == 1:
            torch.testing.assert_close(part[0], shot.mean(dim=0))
        at += size
    if at < budget:
        torch.testing.assert_close(small[at], whole.values[0, 0, : 4 - len(sizes)].flatten(0, 1).mean(dim=0))
    assert len(small) == budget == at + (at < budget)


def test_slots_stay_apart_while_there_is_a_token_for_each() -> None:
    slot = torch.arange(TOKENS) % SLOTS
    keys = slot.float().view(1, 1, 1, TOKENS, 1).expand(1, 1, 2, TOKENS, 1)
    memories = Memories(
        keys=keys, values=keys, descriptors=chunk_descriptors(keys, slots=SLOTS, chunking="track")
    )
    small = packed(memories, 2 * SLOTS + 2).values[0, 0, 0, :SLOTS, 0]
    torch.testing.assert_close(small, small.round())


def test_scores_of_chance_are_a_storys_own() -> None:
    like = torch.zeros(2, 3, 4, 5)
    both = random_scores(like, [torch.Generator().manual_seed(i) for i in (1, 2)])
    alone = random_scores(like[:1], [torch.Generator().manual_seed(1)])
    torch.testing.assert_close(both[:1], alone)
    assert not torch.equal(both[0], both[1])
