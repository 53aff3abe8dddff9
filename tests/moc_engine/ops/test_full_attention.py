"""Shots that attend to all they may choose from, in `route` and in every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig, Steering
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.layout import by_length
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.routing import route
from moc_engine.ops.selection import Selection

LAYOUT = by_length([10, 12, 9, 8], 4, captions=[2, 0, 1, 3], global_caption=2)
STEERING = Steering(bans=(1,), pins=(2,), boosts={0: 3.0})


def drawn(length: int, seed: int) -> Tensor:
    return torch.randn(1, 2, length, 8, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def routed(full_below: Any, shot: int | None, steering: Steering | None = None, top_k: int = 1) -> Selection:
    length = LAYOUT.tokens if shot is None else LAYOUT.video_tokens(shot)
    config = RoutingConfig(top_k=top_k, full_below=full_below)
    return route(drawn(length, 0), drawn(LAYOUT.tokens, 1), LAYOUT, shot, config, steering or Steering())


@pytest.mark.parametrize("backend", ["naive", "grouped"])
@pytest.mark.parametrize("steering", [Steering(), STEERING], ids=["free", "steered"])
def test_full_attention_is_as_if_every_candidate_were_routed(backend: str, steering: Steering) -> None:
    full, every = routed(1000, 3, steering), routed(0, 3, steering, top_k=LAYOUT.chunks)
    assert full.indices.shape[-1] == 0
    assert torch.equal(full.mask(), every.mask())
    q, k, v = drawn(8, 0), drawn(LAYOUT.tokens, 1), drawn(LAYOUT.tokens, 2)
    results = []
    for selection, name in ((full, backend), (every, "naive")):
        out, mass = moc_attention(q, k, v, LAYOUT, selection, name, return_mass=True)
        results.append((out, mass, *torch.autograd.grad(out.sum(), (q, k, v))))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want)
    torch.testing.assert_close(moc_attention(q, k, v, LAYOUT, full, backend), results[1][0])


def test_what_is_banned_stays_out() -> None:
    banned = LAYOUT.token_span(1)
    q, k, v = drawn(8, 0), drawn(LAYOUT.tokens, 1), drawn(LAYOUT.tokens, 2)
    spoilt = v.detach().clone()
    spoilt[:, :, slice(*banned)] = torch.nan
    full = routed(1000, 3, STEERING)
    assert torch.equal(
        moc_attention(q, k, spoilt, LAYOUT, full), moc_attention(q, k, v.detach(), LAYOUT, full)
    )


def test_tokens_that_may_be_attended_to_are_counted() -> None:
    tokens = LAYOUT.tokens - 3  # captions of other shots are never attended to
    assert routed(tokens, 3).groups[0].full is None
    assert routed(tokens + 1, 3).groups[0].full is not None
    assert routed(tokens + 1 - 12, 3, Steering(bans=(1,))).groups[0].full is not None
    assert routed(0, 3).groups[0].full is None


def test_each_shot_of_a_story_decides_for_itself() -> None:
    some = routed(30, None)
    assert [group.shot for group in some.groups if group.full is not None] == [-1, 0, 1]
    assert (some.indices[:, :, some.groups[2].start : some.groups[2].stop] == -1).all()
    assert (some.indices[:, :, some.groups[3].start :] >= 0).any()
    every = routed(0, None, top_k=LAYOUT.chunks).mask()
    stop = some.groups[2].stop
    assert torch.equal(some.mask()[:, :, :stop], every[:, :, :stop])
    assert routed(1000, None).indices.shape[-1] == 0


def measured_below(device: str, *, mandatory: int = 0, **settings: Any) -> int:
    routing = RoutingConfig(full_below="auto", **settings)
    lengths = np.full(12, 1300)
    return resolved_full_below(
        routing,
        device,
        rows=24,
        tokens=5200,
        head_size=128,
        chunk_lengths=lengths,
        mandatory=mandatory,
    )


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_by_measured_times_the_backend_does_not_decide_what_is_attended(device: str) -> None:
    below = {measured_below(device, backend=name) for name in ("auto", "naive", "grouped", "triton")}
    assert len(below) == 1
    assert 0 < below.pop() < 100_000


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_by_measured_times_nothing_is_attended_where_nothing_may_be_routed(device: str) -> None:
    assert measured_below(device, top_k=0) == 0


def test_by_measured_times_what_is_pinned_does_not_decide() -> None:
    """It takes its time either way: no fewer candidates are attended in full beside many pins."""
    assert measured_below("cpu", mandatory=7000) == measured_below("cpu") + 7000
    assert measured_below("cpu", mandatory=7000, top_k=0) == 0


def test_by_measured_times_few_tokens_are_attended_in_full_as_one_dense_pass() -> None:
    layout = by_length([64, 64], 16)
    q, k, v = drawn(64, 0), drawn(128, 1), drawn(128, 2)
    selection = route(q, k, layout, 1, RoutingConfig(top_k=2, full_below="auto"))
    out = moc_attention(q, k, v, layout, selection)
    torch.testing.assert_close(out, scaled_dot_product_attention(q, k, v))
    assert selection.indices.shape[-1] == 0
