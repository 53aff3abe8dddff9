from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from moc_engine.config import Backend, RoutingConfig, Steering
from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.layout import ChunkLayout, by_length
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.routing import chunk_means, eligible, route
from moc_engine.ops.selection import Selection
from tests.fakes.drawn_layouts import stories
from tests.fakes.layouts import story

exact_stories = stories(lengths=(1, 2, 4, 8))  # means of whole numbers over these are exact


def whole_numbers(seed: int, *shape: int) -> Tensor:
    """Few distinct values, so that scores are exact and often equal."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float()


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def written_out(
    q: Tensor, k: Tensor, layout: ChunkLayout, shot: int, config: RoutingConfig, steering: Steering
) -> Tensor:
    """The paper's routing for one shot's queries, a query and a chunk at a time, in whole numbers."""
    B, H, L, _ = q.shape
    indices = torch.full((B, H, L, config.top_k), -1)
    candidates = [
        c
        for c in range(layout.chunks)
        if layout.is_video[c]
        and layout.shot[c] < shot
        and layout.shot[c] not in (*steering.pins, *steering.bans)
        and c not in (*steering.pin_chunks, *steering.ban_chunks)
    ]
    for b, h, i in np.ndindex(B, H, L):
        scores: dict[int, Fraction] = {}
        for c in candidates:
            keys = k[b, h, layout.offsets[c] : layout.offsets[c + 1]]
            scores[c] = Fraction(int((keys @ q[b, h, i]).sum()), len(keys))
            scores[c] += Fraction(steering.boosts.get(int(layout.shot[c]), 0.0))
        allowed = candidates
        if config.outer_shots is not None:
            means = {}
            for s in {int(layout.shot[c]) for c in candidates}:
                mine = [c for c in candidates if layout.shot[c] == s]
                weight = sum(int(layout.lengths[c]) for c in mine)
                means[s] = sum(scores[c] * int(layout.lengths[c]) for c in mine) / weight
            best = sorted(means, key=lambda s: (-means[s], s))[: config.outer_shots]
            allowed = [c for c in candidates if layout.shot[c] in best]
        chosen = sorted(allowed, key=lambda c: (-scores[c], c))[: config.top_k]
        indices[b, h, i, : len(chosen)] = torch.tensor(chosen, dtype=torch.int64)
    return indices


@st.composite
def steerings(draw: st.DrawFn, layout: ChunkLayout, shot: int) -> Steering:
    earlier = [c for c in range(layout.chunks) if layout.is_video[c] and layout.shot[c] < shot]
    fate = {s: draw(st.sampled_from(("free", "free", "pin", "ban", "boost"))) for s in range(shot)}
    chunk_fate = {c: draw(st.sampled_from(("free", "free", "pin", "ban"))) for c in earlier}

    def chunks(wanted: str, other: str) -> tuple[int, ...]:
        return tuple(c for c, f in chunk_fate.items() if f == wanted and fate[int(layout.shot[c])] != other)

    return Steering(
        pins=tuple(s for s, f in fate.items() if f == "pin"),
        bans=tuple(s for s, f in fate.items() if f == "ban"),
        boosts={s: draw(st.sampled_from((-1.0, 0.5, 4.0))) for s, f in fate.items() if f == "boost"},
        pin_chunks=chunks("pin", "ban"),
        ban_chunks=chunks("ban", "pin"),
    )


configs = st.builds(
    RoutingConfig,
    top_k=st.integers(0, 4),
    captions=st.sampled_from(("own", "all")),
    outer_shots=st.none() | st.integers(1, 3),
)


@given(st.data(), exact_stories, configs, st.integers(0, 1000))
@settings(max_examples=200)
def test_routing_is_what_the_paper_writes(
    data: st.DataObject, layout: ChunkLayout, config: RoutingConfig, seed: int
) -> None:
    shot = layout.shots[-1]
    steering = data.draw(steerings(layout, shot))
    q = whole_numbers(seed, 1, 2, layout.video_tokens(shot), 3)
    k = whole_numbers(seed + 1, 1, 2, layout.tokens, 3)
    selection = route(q, k, layout, shot, config, steering)
    assert torch.equal(selection.indices, written_out(q, k, layout, shot, config, steering))


@given(st.data(), stories(), configs, st.integers(0, 1000))
@settings(max_examples=100)
def test_what_is_attended_follows_from_the_rules(
    data: st.DataObject, layout: ChunkLayout, config: RoutingConfig, seed: int
) -> None:
    shot = layout.shots[-1]
    steering = data.draw(steerings(layout, shot))
    q, k = noise(seed, 2, 1, layout.video_tokens(shot), 4), noise(seed + 1, 2, 1, layout.tokens, 4)
    selection = route(q, k, layout, shot, config, steering)
    mask = selection.mask()
    for c in range(layout.chunks):
        attended = mask[..., layout.offsets[c] : layout.offsets[c + 1]]
        if not attended.numel():
            continue
        of = int(layout.shot[c])
        if of == shot:
            assert attended.all()
        elif not layout.is_video[c]:
            assert attended.all() if of == -1 or config.captions == "all" else not attended.any()
        elif of in steering.pins or c in steering.pin_chunks:
            assert attended.all()
        elif of in steering.bans or c in steering.ban_chunks:
            assert not attended.any()
        else:
            chosen = (selection.indices == c).any(dim=-1)
            assert torch.equal(attended, chosen[..., None].expand_as(attended))
    routed = (selection.indices >= 0).sum(dim=-1)
    free = eligible(layout, shot, steering).candidates
    if config.outer_shots is None:
        assert (routed == min(config.top_k, int(free.sum()))).all()
    assert (routed <= config.top_k).all()


@given(exact_stories, configs, st.integers(0, 1000))
@settings(max_examples=30)
def test_a_whole_story_is_routed_as_its_shots_one_by_one(
    layout: ChunkLayout, config: RoutingConfig, seed: int
) -> None:
    q, k = whole_numbers(seed, 2, 2, layout.tokens, 3), whole_numbers(seed + 1, 2, 2, layout.tokens, 3)
    whole = route(q, k, layout, None, config)
    mask = whole.mask()
    for shot in layout.shots:
        start, stop = layout.token_span(shot)
        if shot == -1:
            assert (whole.indices[:, :, start:stop] == -1).all()
            continue
        alone = route(q[:, :, start:stop], k, layout, shot, config)
        assert torch.equal(whole.indices[:, :, start:stop], alone.indices)
        assert torch.equal(mask[:, :, start:stop], alone.mask())


def test_whole_stories_are_steered_by_shot() -> None:
    layout = story([[2, 2], [2], [3]])
    q = k = noise(0, 1, 1, layout.tokens, 4)
    steering: Mapping[int, Steering] = {1: Steering(bans=(0,)), 2: Steering(pins=(1,))}
    selection = route(q, k, layout, None, RoutingConfig(top_k=2), steering)
    assert (selection.indices[0, 0, 4:6] == -1).all()
    assert [group.pinned.any() for group in selection.groups] == [False, False, True]
    assert set(selection.indices[0, 0, 6:].flatten().tolist()) == {0, 1}


def test_the_first_shot_routes_nothing() -> None:
    layout = story([[2, 3], [4]])
    selection = route(noise(0, 1, 2, 5, 4), noise(1, 1, 2, 9, 4), layout, 0)
    assert (selection.indices == -1).all()
    assert selection.mask()[..., :5].all()
    assert not selection.mask()[..., 5:].any()


def test_fewer_candidates_than_top_k_are_all_taken() -> None:
    layout = story([[2, 3], [4]])
    selection = route(noise(0, 1, 2, 4, 4), noise(1, 1, 2, 9, 4), layout, 1, RoutingConfig(top_k=5))
    assert selection.indices.shape == (1, 2, 4, 5)
    assert (selection.indices[..., :2].sort(dim=-1).values == torch.tensor([0, 1])).all()
    assert (selection.indices[..., 2:] == -1).all()


def test_equal_scores_go_to_the_lower_chunk() -> None:
    layout = by_length([64 * 3, 8], 3)
    q = noise(0, 2, 3, 8, 40)
    k = noise(1, 2, 3, 1, 40).expand(2, 3, layout.tokens, 40)
    indices = route(q, k, layout, 1, RoutingConfig(top_k=7)).indices
    assert (indices == torch.arange(7)).all()


def test_what_is_no_candidate_may_hold_nan() -> None:
    layout = story([[2, 3], [1, 2], [4], [3]], captions=[2, 2, 2, 2], global_caption=2)
    steering = Steering(bans=(1,), pin_chunks=(2,))
    config = RoutingConfig(top_k=2, outer_shots=1)
    q, k = noise(0, 2, 2, 4, 8), noise(1, 2, 2, layout.tokens, 8)
    clean = route(q, k, layout, 2, config, steering)
    candidate = torch.tensor(eligible(layout, 2, steering).candidates[layout.token_chunk])
    poisoned = k.masked_fill(~candidate[:, None], torch.nan)
    assert torch.equal(route(q, poisoned, layout, 2, config, steering).indices, clean.indices)
    means = chunk_means(poisoned, layout)
    assert torch.equal(
        means.isnan().all(dim=-1)[0, 0], ~torch.tensor(eligible(layout, 2, steering).candidates)
    )


@given(stories())
@settings(max_examples=30)
def test_descriptors_are_mean_keys(layout: ChunkLayout) -> None:
    k = noise(layout.tokens, 2, 3, layout.tokens, 4)
    means = chunk_means(k, layout)
    assert means.shape == (2, 3, layout.chunks, 4)
    for c in range(layout.chunks):
        keys = k[:, :, layout.offsets[c] : layout.offsets[c + 1]]
        expected = keys.mean(dim=2) if keys.shape[2] else torch.zeros(2, 3, 4)
        torch.testing.assert_close(means[:, :, c], expected)


def test_descriptors_are_float32_whatever_the_keys() -> None:
    layout = by_length([700], 700)
    k = (noise(0, 1, 1, 700, 8) + 3).bfloat16()
    torch.testing.assert_close(chunk_means(k, layout)[0, 0, 0], k[0, 0].double().mean(dim=0).float())


def test_many_queries_are_scored_in_tiles_that_do_not_show() -> None:
    layout = by_length([512] * 8 + [600], 2)
    q, k = noise(0, 1, 1, 600, 4), noise(1, 1, 1, layout.tokens, 4)
    selection = route(q, k, layout, 8, RoutingConfig(top_k=5))
    scores = q @ chunk_means(k, layout).transpose(2, 3)
    candidates = torch.tensor(eligible(layout, 8).candidates)
    assert torch.equal(selection.indices, choose_chunks(scores, candidates, RoutingConfig(top_k=5)))


def test_descriptors_and_routing_queries_take_the_place_of_keys_and_queries() -> None:
    layout = story([[2, 3, 4], [4]])
    q, k = noise(0, 1, 2, 4, 8), noise(1, 1, 2, layout.tokens, 8)
    other_q, means = noise(2, 1, 2, 4, 8), noise(3, 1, 2, layout.chunks, 8)
    given_ = route(q, None, layout, 1, RoutingConfig(top_k=1), descriptors=means, routing_queries=other_q)
    best = (other_q @ means.transpose(2, 3))[..., :3].argmax(dim=-1)
    assert torch.equal(given_.indices[..., 0], best)
    assert not torch.equal(route(q, k, layout, 1, RoutingConfig(top_k=1)).indices[..., 0], best)


def test_pooling_before_rotation_is_scored_with_unrotated_queries() -> None:
    """A chunk of opposite rotations pools to nothing; unrotated it is the best match."""
    layout = story([[2, 1], [1]])
    k = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.2, 0.0], [0.0, 0.0]]).view(1, 1, 4, 2)
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0]).view(1, 1, 4, 1)
    q = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    config = RoutingConfig(top_k=1)
    after = route(q, k * signs, layout, 1, config)
    before = route(q, k * signs, layout, 1, config, descriptors=chunk_means(k, layout), routing_queries=q)
    assert after.indices.item() == 1
    assert before.indices.item() == 0


def test_bfloat16_is_scored_in_float32() -> None:
    layout = by_length([64, 8], 4)
    q, k = noise(0, 2, 2, 8, 16).bfloat16(), noise(1, 2, 2, 72, 16).bfloat16()
    half, full = route(q, k, layout, 1), route(q.float(), k.float(), layout, 1)
    assert torch.equal(half.indices, full.indices)


def test_boosts_reach_the_outer_loop_too() -> None:
    layout = by_length([4] * 6 + [4], 2)
    q, k = noise(0, 1, 1, 4, 8), noise(1, 1, 1, layout.tokens, 8)
    config = RoutingConfig(top_k=2, outer_shots=1)
    indices = route(q, k, layout, 6, config, Steering(boosts={2: 1e4})).indices
    assert set(indices.flatten().tolist()) == {4, 5}


def routed_for_training(config: RoutingConfig, seed: int = 0, steering: Steering | None = None) -> Selection:
    layout = by_length([40] * 3 + [200], 4)
    q, k = noise(1, 2, 2, 200, 8), noise(2, 2, 2, layout.tokens, 8)
    generator = torch.Generator().manual_seed(seed)
    return route(q, k, layout, 3, config, steering or Steering(), generator=generator)


def test_drop_off_drops_at_most_the_floor_of_its_share_and_keeps_the_order() -> None:
    plain = routed_for_training(RoutingConfig(top_k=6))
    assert (plain.indices >= 0).all()
    dropped = routed_for_training(RoutingConfig(top_k=6, drop_off=0.7))
    left = (dropped.indices >= 0).sum(dim=-1)
    assert left.min() == 6 - int(0.7 * 6)
    assert left.max() == 6
    expected = np.mean([6 - int(p * 6) for p in np.linspace(0, 0.7, 10_000, endpoint=False)])
    assert abs(left.float().mean().item() - expected) < 0.15
    for before, after in zip(plain.indices.reshape(-1, 6), dropped.indices.reshape(-1, 6), strict=True):
        kept = [c for c in after.tolist() if c >= 0]
        assert kept == [c for c in before.tolist() if c in kept]
        assert after.tolist()[len(kept) :] == [-1] * (6 - len(kept))


def test_drop_in_adds_earlier_chunks_that_were_not_chosen() -> None:
    steering = Steering(bans=(1,), pin_chunks=(0,))
    plain = routed_for_training(RoutingConfig(top_k=3), steering=steering).indices
    more = routed_for_training(RoutingConfig(top_k=3, drop_in=2.0), steering=steering).indices
    assert torch.equal(more[..., :3], plain)
    added = more[..., 3:]
    counts = (added >= 0).sum(dim=-1).float()
    assert abs(counts.mean().item() - 2.0) < 0.2
    assert abs(counts.var().item() - 2.0) < 0.4
    assert set(added.unique().tolist()) <= {-1, *range(1, 10), *range(20, 30)}
    ordered = more.sort(dim=-1).values
    assert not ((ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)).any()


def test_drop_in_stops_where_candidates_end() -> None:
    selection = routed_for_training(RoutingConfig(top_k=3, drop_in=100.0))
    assert ((selection.indices >= 0).sum(dim=-1) == 30).all()


def test_perturbations_repeat_with_their_generator_and_need_one() -> None:
    config = RoutingConfig(top_k=5, drop_off=1.0, drop_in=1.0)
    first, again, other = (routed_for_training(config, seed).indices for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    layout = by_length([40, 20], 4)
    q, k = noise(1, 1, 1, 20, 8), noise(2, 1, 1, 60, 8)
    plain = route(q, k, layout, 1, RoutingConfig(top_k=5))
    assert torch.equal(route(q, k, layout, 1, config).indices, plain.indices)


@pytest.mark.parametrize(
    ("argument", "steering"),
    [
        ("pins", Steering(pins=(2,))),
        ("pins", Steering(pins=(3,))),
        ("pins", Steering(pins=(-1,))),
        ("pins", Steering(pins=(9,))),
        ("bans", Steering(bans=(2,))),
        ("bans", Steering(bans=(9,))),
        ("boosts", Steering(boosts={2: 1.0})),
        ("pin_chunks", Steering(pin_chunks=(99,))),
        ("pin_chunks", Steering(pin_chunks=(-1,))),
        ("pin_chunks", Steering(pin_chunks=(4,))),
        ("ban_chunks", Steering(ban_chunks=(0,))),
        ("pins", Steering(pins=(0,), ban_chunks=(2,))),
        ("steering", {2: Steering()}),
    ],
)
def test_steering_that_makes_no_sense_is_refused(argument: str, steering: Steering) -> None:
    layout = story([[1, 1], [1], [2], [1]], captions=[1, 0, 0, 0], global_caption=1)
    q, k = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, layout.tokens, 4)
    with pytest.raises(ValueError, match=f"^{argument}: "):
        route(q, k, layout, 2, RoutingConfig(), steering)


def test_wrong_arguments_are_named() -> None:
    layout = story([[2], [3]])
    q, k = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 5, 4)
    whole = torch.zeros(1, 2, 5, 4)
    for argument, call in {
        "query_shot": lambda: route(q, k, layout, 2),
        "q": lambda: route(q[0], k, layout, 1),
        "k": lambda: route(q, k[:, :, 1:], layout, 1),
        "descriptors": lambda: route(q, k, layout, 1, descriptors=k),
        "routing_queries": lambda: route(q, k, layout, 1, routing_queries=k),
        "steering": lambda: route(whole, k, layout, None, RoutingConfig(), Steering(pins=(0,))),
    }.items():
        with pytest.raises(ValueError, match=f"^{argument}: "):
            call()
    with pytest.raises(ValueError, match=r"^k: "):
        route(q, None, layout, 1)
    with pytest.raises(ValueError, match=r"^q: "):
        route(q[:, :, :2], k, layout, 1)
    with pytest.raises(ValueError, match=r"^q: "):
        route(q, k, layout, None)
    with pytest.raises(ValueError, match=r"^steering: "):
        route(whole, k, layout, None, RoutingConfig(), {5: Steering()})
    with pytest.raises(ValueError, match=r"^steering: expected a Steering for shot 1, got None"):
        route(whole, k, layout, None, RoutingConfig(), {1: None})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"^steering: expected a Steering"):
        route(q, k, layout, 1, RoutingConfig(), None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^descriptors: expected \(1, 2, 2, 4\)"):
        route(q, k, layout, 1, descriptors=torch.zeros(1, 2, 2, 5))


@pytest.mark.parametrize("backend", ["naive", "grouped"])
def test_a_shot_of_empty_captions_alone_has_nothing_to_route(backend: Backend) -> None:
    layout = story([[1], [], [2]], captions=[1, 0, 0])
    q, k = torch.zeros(1, 2, 0, 4), torch.zeros(1, 2, layout.tokens, 4)
    selection = route(q, k, layout, 1, RoutingConfig(top_k=2))
    assert selection.indices.shape == (1, 2, 0, 2)
    assert selection.groups == ()
    assert moc_attention(q, k, k, layout, selection, backend).shape == (1, 2, 0, 4)


def test_a_mask_is_of_the_layout_that_was_routed_over() -> None:
    layout, other = by_length([4, 4], 2), by_length([4, 4], 4)
    k = torch.randn(1, 1, 8, 4)
    selection = route(k[:, :, 4:], k, layout, 1, RoutingConfig(top_k=1))
    assert torch.equal(selection.mask(layout), selection.mask())
    with pytest.raises(ValueError, match="layout"):
        selection.mask(other)
