"""The one function that chooses chunks, compared with scores and sorting written out."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.ops.choosing import (
    CPU_SCORES_AT_ONCE,
    ChunkRules,
    choose_chunks,
    chosen_by_kernel,
    route_queries,
)
from moc_engine.ops.layout import VIDEO, ChunkLayout, by_length


def whole_numbers(seed: int, *shape: int) -> Tensor:
    """Few distinct values, so that scores are exact and often equal."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float()


def draws(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def sorted_choice(scores: Tensor, candidates: Tensor, top_k: int) -> Tensor:
    """The best `top_k` candidates: the stable order of a sort, and -1 for what is no candidate."""
    scores = scores.masked_fill(~candidates, -torch.inf)
    order = scores.argsort(dim=-1, descending=True, stable=True)[..., :top_k]
    return order.masked_fill(scores.gather(-1, order) == -torch.inf, -1)


def test_zero_has_no_sign_in_a_tie() -> None:
    scores = torch.tensor([[-0.0, 0.0, -0.0, -1.0, 0.0]])
    chosen = choose_chunks(scores, torch.ones(5, dtype=torch.bool), RoutingConfig(top_k=4))
    assert chosen.tolist() == [[0, 1, 2, 4]]


def test_infinite_scores_keep_their_order_and_still_count_as_candidates() -> None:
    inf = torch.inf
    scores = torch.tensor([[-inf, 3e38, inf, -3e38, -inf]])
    candidates = torch.tensor([True, True, True, True, False])
    chosen = choose_chunks(scores, candidates, RoutingConfig(top_k=5))
    assert chosen.tolist() == [[2, 1, 3, 0, -1]]


def test_nothing_to_choose_from() -> None:
    config = RoutingConfig(top_k=3, outer_shots=2)
    empty = ChunkLayout([0], [], [])
    candidates = torch.ones(0, dtype=torch.bool)
    assert choose_chunks(torch.zeros(2, 4, 0), candidates, config, layout=empty).shape == (2, 4, 0)
    assert choose_chunks(torch.zeros(2, 0, 3), torch.ones(3, dtype=torch.bool), RoutingConfig()).numel() == 0


def test_the_outer_loop_over_shots_needs_a_layout() -> None:
    with pytest.raises(ValueError, match=r"^layout: "):
        choose_chunks(torch.zeros(1, 2), torch.ones(2, dtype=torch.bool), RoutingConfig(outer_shots=1))


@pytest.mark.parametrize("lengths", [[4] * 12, [1, 2, 5, 3, 1, 1, 7, 2, 2, 4, 6, 3]])
@pytest.mark.parametrize("outer_shots", [1, 2, 9])
@pytest.mark.parametrize("banned", [(), (0, 1), (3, 6, 7)])
def test_queries_take_the_best_chunks_of_the_best_shots(
    lengths: list[int], outer_shots: int, banned: tuple[int, ...]
) -> None:
    """A rule that all share is chosen by in another way on a CPU than rules of single queries."""
    shots = (
        [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        if len(set(lengths)) == 1
        else [0, 0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 3]
    )
    layout = ChunkLayout([0, *accumulate(lengths)], shots, [VIDEO] * 12)
    q, means = whole_numbers(0, 2, 3, 11, 6), whole_numbers(1, 2, 3, 12, 6)
    candidates = torch.ones(1, 1, 12, dtype=torch.bool)
    candidates[..., list(banned)] = False
    rules = ChunkRules(candidates=candidates, boosts=whole_numbers(2, 1, 1, 12))
    assert rules.boosts is not None
    config = RoutingConfig(top_k=3, outer_shots=outer_shots)
    scores = q @ means.transpose(2, 3) + rules.boosts[:, None]
    expected = choose_chunks(scores, candidates[:, None], config, layout=layout)
    assert torch.equal(route_queries(q, means, rules, config, layout=layout), expected)


@pytest.mark.parametrize("top_k", [0, 1, 3, 9, 40])
@pytest.mark.parametrize("shared", [True, False])
def test_queries_take_the_best_chunks_of_their_rule(top_k: int, shared: bool) -> None:
    B, H, L, C, R = 2, 3, 11, 37, 4
    q, means = whole_numbers(0, B, H, L, 6), whole_numbers(1, 1 if shared else B, H, C, 6)
    rules = ChunkRules(
        candidates=draws(2, B, R, C) < 0.5,
        boosts=whole_numbers(3, 1, R, C),
        of_query=torch.arange(L) % R,
    )
    assert rules.boosts is not None
    assert rules.of_query is not None
    scores = q @ means.transpose(2, 3) + rules.boosts[:, rules.of_query][:, None]
    expected = sorted_choice(scores, rules.candidates[:, rules.of_query][:, None], top_k)
    assert torch.equal(route_queries(q, means, rules, RoutingConfig(top_k=top_k)), expected)


def test_one_rule_holds_for_all_queries() -> None:
    q, means = whole_numbers(0, 2, 1, 5, 4), whole_numbers(1, 2, 1, 9, 4)
    candidates = draws(2, 2, 1, 9) < 0.6
    chosen = route_queries(q, means, ChunkRules(candidates=candidates), RoutingConfig(top_k=2))
    assert torch.equal(chosen, sorted_choice(q @ means.transpose(2, 3), candidates[:, None], 2))


@pytest.mark.parametrize("top_k", [1, 3, 9])
def test_a_batch_that_shares_means_and_rule_shares_the_scoring(top_k: int) -> None:
    q, means = whole_numbers(0, 2, 3, 5, 4), whole_numbers(1, 1, 3, 40, 4)
    boosts = whole_numbers(3, 1, 1, 40)
    for share in (1.0, 0.5, 0.02, 0.0):
        candidates = draws(2, 1, 1, 40) < share
        poisoned = means.masked_fill(~candidates[0, ..., None], torch.nan)
        rules = ChunkRules(candidates=candidates, boosts=boosts)
        scores = q @ means.transpose(2, 3) + boosts[:, None]
        expected = sorted_choice(scores, candidates[:, None], top_k)
        assert torch.equal(route_queries(q, poisoned, rules, RoutingConfig(top_k=top_k)), expected)


@pytest.mark.parametrize("top_k", [3, 9])
def test_equal_entries_of_a_batch_choose_alike(top_k: int) -> None:
    one, means = whole_numbers(8, 1, 2, 7, 4), whole_numbers(9, 1, 2, 30, 4)
    rules = ChunkRules(candidates=draws(10, 1, 1, 30) < 0.7)
    config = RoutingConfig(top_k=top_k)
    expected = sorted_choice(one @ means.transpose(2, 3), rules.candidates[0, 0], top_k)
    same = route_queries(one.repeat(3, 1, 1, 1), means, rules, config)
    assert torch.equal(same, expected.repeat(3, 1, 1, 1))
    assert same.is_contiguous()
    other = torch.cat((one, one, -one))
    chosen = route_queries(other, means, rules, config)
    assert torch.equal(chosen, sorted_choice(other @ means.transpose(2, 3), rules.candidates[0, 0], top_k))


def test_scores_that_are_no_numbers_leave_the_others_in_order() -> None:
    q, means = torch.ones(1, 1, 2, 1), torch.tensor([-1.0, torch.inf, -torch.inf, 2.0])[None, None, :, None]
    rules = ChunkRules(candidates=torch.ones(1, 1, 4, dtype=torch.bool))
    assert route_queries(q, means, rules, RoutingConfig(top_k=4)).tolist() == [[[[1, 3, 0, 2]] * 2]]


def test_infinite_scores_of_candidates_count() -> None:
    q, means = torch.ones(1, 1, 1, 1), torch.tensor([1.0, -torch.inf, -torch.inf, 3e38]).view(1, 1, 4, 1)
    rules = ChunkRules(candidates=torch.ones(1, 1, 4, dtype=torch.bool))
    assert route_queries(q, means, rules, RoutingConfig(top_k=3)).tolist() == [[[[3, 0, 1]]]]


def test_tiles_of_queries_do_not_show() -> None:
    L, C = 700, CPU_SCORES_AT_ONCE // 256
    q, means = whole_numbers(0, 1, 1, L, 4), whole_numbers(1, 1, 1, C, 4)
    rules = ChunkRules(candidates=draws(2, 1, 2, C) < 0.9, of_query=(torch.arange(L) > 400).long())
    assert rules.of_query is not None
    expected = sorted_choice(q @ means.transpose(2, 3), rules.candidates[:, rules.of_query], 4)
    assert torch.equal(route_queries(q, means, rules, RoutingConfig(top_k=4)), expected)


def test_half_precision_queries_are_scored_in_float32_even_under_autocast() -> None:
    q, means = draws(0, 1, 2, 30, 16).bfloat16(), draws(1, 1, 2, 64, 16)
    rules = ChunkRules(candidates=torch.ones(1, 1, 64, dtype=torch.bool))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        chosen = route_queries(q, means, rules, RoutingConfig(top_k=3))
    assert torch.equal(chosen, route_queries(q.float(), means, rules, RoutingConfig(top_k=3)))


def test_kernels_choose_on_cuda_devices_alone() -> None:
    assert not chosen_by_kernel(torch.zeros(1, 1, 4, 64), RoutingConfig())
    on_device = torch.zeros(1, 1, 4, 64, device="meta")
    assert not chosen_by_kernel(on_device, RoutingConfig())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("outer_shots", [None, 2])
def test_a_gpu_chooses_what_the_cpu_chooses(outer_shots: int | None) -> None:
    layout = by_length([40] * 6, 4)
    q, means = whole_numbers(0, 2, 3, 50, 32), whole_numbers(1, 1, 3, layout.chunks, 32)
    rules = ChunkRules(candidates=draws(2, 2, 1, layout.chunks) < 0.8)
    there = ChunkRules(candidates=rules.candidates.cuda())
    config = RoutingConfig(top_k=4, outer_shots=outer_shots)
    assert chosen_by_kernel(q.cuda(), config) == (outer_shots is None)
    chosen = route_queries(q.cuda(), means.cuda(), there, config, layout=layout)
    assert torch.equal(chosen.cpu(), route_queries(q, means, rules, config, layout=layout))


def test_no_queries_and_no_chunks() -> None:
    rules = ChunkRules(candidates=torch.ones(1, 1, 3, dtype=torch.bool))
    none = route_queries(torch.zeros(2, 1, 0, 4), torch.zeros(2, 1, 3, 4), rules, RoutingConfig(top_k=2))
    assert none.shape == (2, 1, 0, 2)
    rules = ChunkRules(candidates=torch.ones(1, 1, 0, dtype=torch.bool))
    none = route_queries(torch.zeros(2, 1, 5, 4), torch.zeros(1, 1, 0, 4), rules, RoutingConfig(top_k=2))
    assert none.shape == (2, 1, 5, 0)


def test_drop_off_and_drop_in_do_not_depend_on_tiles_in_what_they_keep() -> None:
    L, C = 700, CPU_SCORES_AT_ONCE // 256
    q, means = whole_numbers(0, 1, 1, L, 4), whole_numbers(1, 1, 1, C, 4)
    rules = ChunkRules(candidates=draws(2, 1, 1, C) < 0.9)
    config = RoutingConfig(top_k=4, drop_off=0.5, drop_in=1.0)
    chosen = route_queries(q, means, rules, config, generator=torch.Generator().manual_seed(0))
    again = route_queries(q, means, rules, config, generator=torch.Generator().manual_seed(0))
    assert torch.equal(chosen, again)
    kept = chosen >= 0
    assert rules.candidates[0, 0][chosen[kept]].all()
    ordered = chosen.sort(dim=-1).values
    assert not ((ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)).any()
    assert (kept[..., :-1] >= kept[..., 1:]).all()
