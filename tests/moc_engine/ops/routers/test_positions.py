"""Routers by position: a window, and a density that falls with age."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from moc_engine.config import RoutingConfig
from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.layout import by_length
from moc_engine.ops.routers.positions import RADIAL, WINDOW, radial_scores, window_scores
from moc_engine.ops.routers.random_chunks import random_scores
from moc_engine.ops.routers.router import RouterEntry, RoutingRequest

SLOTS = 8
OWN = torch.arange(2 * SLOTS) % SLOTS


def _best(scores: torch.Tensor, query: int, count: int) -> list[tuple[int, int]]:
    """The (shot, slot) of the best chunks for a query, best first."""
    order = scores[query].sort(descending=True, stable=True).indices[:count].tolist()
    return [divmod(chunk, SLOTS) for chunk in order]


def test_a_window_has_the_nearest_slots_of_the_latest_shots() -> None:
    scores = window_scores(by_length([SLOTS] * 3, 1), 3, OWN)
    assert _best(scores, 4, 3) == [(2, 4), (2, 3), (2, 5)]
    assert {shot for shot, _ in _best(scores, 4, SLOTS)} == {2}
    assert {shot for shot, _ in _best(scores, SLOTS + 4, 2 * SLOTS)} == {1, 2}


def test_radial_routing_halves_the_slots_with_every_earlier_shot() -> None:
    scores = radial_scores(by_length([SLOTS] * 3, 1), 3, OWN)
    best = _best(scores, 0, 7)
    by_shot = [sum(shot == wanted for shot, _ in best) for wanted in (2, 1, 0)]
    assert by_shot == [4, 2, 1]


def test_frames_are_chosen_by_their_age() -> None:
    scores = window_scores(by_length([2, 2], 1), 2, None)
    assert scores[0].argsort(descending=True).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize("entry", [WINDOW, RADIAL], ids=["window", "radial"])
def test_all_heads_and_stories_choose_alike_among_their_candidates(entry: RouterEntry, chunking: Any) -> None:
    layout, candidates = by_length([SLOTS] * 3, 1), torch.rand(2, 3 * SLOTS) < 0.5
    q = torch.zeros(2, 3, len(OWN), 4)
    request = RoutingRequest(
        q_BHLD=q,
        own_k_BHLD=q,
        means_BHCD=torch.zeros(2, 3, layout.chunks, 4),
        layout=layout,
        shot=3,
        candidates_BC=candidates,
        own_chunk_L=OWN,
        routing=RoutingConfig(top_k=5, chunking=chunking),
        rotated=lambda: (q, q, q),
    )
    chosen = entry.make([]).choose(request).indices_BHLK
    rule = window_scores if entry is WINDOW else radial_scores
    scores = rule(layout, 3, OWN if chunking == "track" else None).expand(2, 3, len(OWN), -1)
    expected = choose_chunks(scores, candidates[:, None, None], request.routing)
    assert torch.equal(chosen, expected)


def test_random_scores_depend_on_the_story_only() -> None:
    like = torch.zeros(2, 3, 4, 5)
    both = random_scores(like, [torch.Generator().manual_seed(i) for i in (1, 2)])
    alone = random_scores(like[:1], [torch.Generator().manual_seed(1)])
    torch.testing.assert_close(both[:1], alone)
    assert not torch.equal(both[0], both[1])
