"""The baselines: what each chooses of a history, and that none has more than MoC."""

import pytest
import torch

from moc_engine.animatic.scene import SLOTS
from moc_engine.evaluation.routers import packed, radial_scores, window_scores
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


@pytest.mark.parametrize("shots", [1, 2, 7])
@pytest.mark.parametrize("budget", [1, 2, 6, 20])
def test_a_packed_history_is_no_larger_than_its_budget(shots: int, budget: int) -> None:
    small = packed(_memories(shots), budget)
    assert small.keys.shape == small.values.shape
    assert small.keys.shape[2] == 1
    assert small.keys.shape[3] <= budget
    assert small.keys.isfinite().all()


def test_a_history_that_fits_is_kept_as_it_is() -> None:
    whole = _memories(1)
    small = packed(whole, TOKENS)
    torch.testing.assert_close(small.keys[0, 0, 0].sort(dim=0).values, whole.keys[0, 0, 0].sort(dim=0).values)


def test_what_lies_far_back_is_averaged_most() -> None:
    whole = _memories(4)
    small = packed(whole, 8)
    assert small.keys.shape[3] == 4 + 2 + 1 + 1
    torch.testing.assert_close(small.values[0, 0, 0, -1], whole.values[0, 0, 0].mean(dim=0))
