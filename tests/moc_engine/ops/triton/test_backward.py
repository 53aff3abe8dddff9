"""Gradients of the backend `triton` against autograd through a masked softmax in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.ops.layout import Ints
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.naive import naive_history_attention
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.routing import route
from moc_engine.ops.triton.attending import triton_backend
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.key_gradients import key_gradients
from moc_engine.ops.triton.offsets import device_offsets
from moc_engine.ops.triton.routed_gradients import Routed, output_dot_gradient
from moc_engine.ops.triton.segments import Segment, pack_pairs
from moc_engine.ops.triton.streaming import SegmentBuffers
from tests.fakes.kernels import DEVICE
from tests.fakes.layouts import story
from tests.fakes.triton_attention import attend_over_history

TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 1.2e-2, torch.float16: 2e-3}
"""Greatest relative error in the norm, where scores are of the order of 1."""

RAGGED = (5, 1, 19, 3, 33, 16)
NAMES = ("q", "own k", "own v", "history k", "history v")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A shot of L queries with its history: q, own k and v, history k and v, which want gradients."""

    tensors: tuple[Tensor, ...]
    offsets: Ints
    indices: Tensor
    grad: Tensor

    def gradients(self, options: Options | None = None, **kwargs: Any) -> tuple[Tensor, ...]:
        q, own_k, own_v, k, v = self.tensors
        out, _ = attend_over_history(
            options or Options(), (q, own_k, own_v, k, v), self.offsets, self.indices, **kwargs
        )
        wanted = [x for x in self.tensors if x.requires_grad]
        return torch.autograd.grad(out, wanted, self.grad)

    def expected(self, **kwargs: Any) -> tuple[Tensor, ...]:
        exact = [x.detach().double().requires_grad_(x.requires_grad) for x in self.tensors]
        q, own_k, own_v, *history = exact
        k, v = (x.repeat_interleave(len(q) // len(x), dim=0) for x in history)
        out, _ = naive_history_attention(q, own_k, own_v, k, v, self.offsets, self.indices, **kwargs)
        return torch.autograd.grad(out, [x for x in exact if x.requires_grad], self.grad.double())


def case(
    *,
    dtype: torch.dtype = torch.float32,
    B: int = 1,
    D: int = 16,
    L: int = 21,
    K: int = 3,
    lengths: tuple[int, ...] = RAGGED,
    pinned: tuple[int, ...] = (),
    scale: float = 1.0,
    missing: float = 0.2,
    histories: int | None = None,
    popular: int | None = None,
) -> Case:
    """Distinct chunks for each query, some -1; query 3 has none at all. All may choose a `popular` chunk."""
    H, T = 2, sum(lengths)
    generator = torch.Generator().manual_seed(0)

    def noise(batch: int, tokens: int, size: float = scale) -> Tensor:
        return (torch.randn(batch, H, tokens, D, generator=generator) * size).to(DEVICE, dtype)

    lots = torch.rand(B, H, L, len(lengths), generator=generator)
    lots[..., list(pinned)] = -1.0
    if popular is not None:
        lots[..., popular] = 2.0
    indices = lots.topk(K, dim=-1).indices
    indices[torch.rand(indices.shape, generator=generator) < missing] = -1
    indices[:, :, 3] = -1
    past = histories or B
    tensors = (noise(B, L), noise(B, L + 2), noise(B, L + 2), noise(past, T), noise(past, T))
    return Case(
        tensors=tuple(x.requires_grad_() for x in tensors),
        offsets=np.cumsum((0, *lengths)),
        indices=indices.to(DEVICE),
        grad=noise(B, L, 1.0),
    )


def error(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm())


def assert_near(
    got: tuple[Tensor, ...], expected: tuple[Tensor, ...], dtype: torch.dtype, times: float = 1.0
) -> None:
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == dtype
        assert mine.shape == theirs.shape
        assert error(mine, theirs) < TOLERANCE[dtype] * times


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Within it `torch.empty` holds NaN, and the library's kernels add in a fixed order."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0, 30.0])
@pytest.mark.usefixtures("poisoned")
def test_gradients_at_any_scale_of_the_input(dtype: torch.dtype, scale: float) -> None:
    """At great scales the softmax saturates: gradients of q and k are differences of large terms.

    An error is then measured by the size of the terms, |grad| · |v| · |k|, and in float32 by that of the
    scores, since a score of s is known to s · 6e-8.
    """
    some = case(dtype=dtype, scale=scale, pinned=(1, 4, 5))
    got, expected = some.gradients(pinned=(1, 4, 5)), some.expected(pinned=(1, 4, 5))
    allowed = max(TOLERANCE[dtype], 2e-7 * scale**2)
    for name, mine, theirs in zip(NAMES, got, expected, strict=True):
        terms = 1.0 if name.endswith("v") else 4 * scale**2
        greatest = max(float(theirs.abs().max()), terms)
        assert float((mine.double() - theirs).abs().max()) < allowed * greatest, name
        assert mine.dtype == dtype
        if scale <= 1:
            assert error(mine, theirs) < allowed, name


@pytest.mark.parametrize(
    ("D", "dtype"),
    [
        (32, torch.float32),
        (64, torch.bfloat16),
        (96, torch.float16),
        (128, torch.bfloat16),
        (128, torch.float32),
    ],
)
@pytest.mark.usefixtures("poisoned")
def test_head_sizes(D: int, dtype: torch.dtype) -> None:
    some = case(D=D, dtype=dtype)
    assert_near(some.gradients(), some.expected(), dtype)


@pytest.mark.parametrize("with_mass", [False, True])
@pytest.mark.usefixtures("poisoned")
def test_all_shots_of_a_story_at_once(with_mass: bool) -> None:
    """Ragged chunks, an empty caption, more slots than candidates, pins, drop-off and drop-in."""
    layout = story([[9, 4, 1, 7], [5, 5], [8, 3, 19], [6]], captions=[3, 0, 2, 1], global_caption=4)
    generator = torch.Generator().manual_seed(1)
    q, k, v, grad = (torch.randn(1, 2, layout.tokens, 16, generator=generator).to(DEVICE) for _ in range(4))
    config = RoutingConfig(top_k=3, drop_off=0.5, drop_in=1.0)
    selection = route(q, k, layout, None, config, {3: Steering(pins=(1,))}, generator=generator)
    assert (selection.indices < 0).any()
    leaves = [x.requires_grad_() for x in (q, k, v)]
    exact = [x.detach().double().requires_grad_() for x in leaves]
    expected = moc_attention(exact[0], exact[1], exact[2], layout, selection, "naive")
    over_layout = triton_backend(Options()).over_layout
    assert over_layout is not None
    out, mass = over_layout(q, k, v, layout, selection, 1 / 4, mass=with_mass)
    assert mass is None or not mass.requires_grad
    assert_near(
        torch.autograd.grad(out, leaves, grad),
        torch.autograd.grad(expected, exact, grad.double()),
        torch.float32,
    )


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("histories", [1, 2])
def test_entries_of_a_batch_that_share_their_history(histories: int) -> None:
    some = case(B=4, L=9, histories=histories, pinned=(2,))
    assert len(some.tensors[3]) == histories
    assert_near(some.gradients(pinned=(2,)), some.expected(pinned=(2,)), torch.float32)


@pytest.mark.parametrize("pinned", [(), (1,)])
@pytest.mark.usefixtures("poisoned")
def test_a_history_in_segments(pinned: tuple[int, ...]) -> None:
    """As where it lies in main memory and streams, some chunks at a time."""
    some = case(pinned=pinned)
    options = Options(always_streamed=True, buffers=SegmentBuffers(most_bytes=4 * 40 * 16 * 4))
    assert_near(some.gradients(options, pinned=pinned), some.expected(pinned=pinned), torch.float32)
    assert options.buffers.traffic.segments > 4


@pytest.mark.parametrize("rotated_bytes", [1 << 20, 1])
@pytest.mark.usefixtures("poisoned")
def test_keys_that_are_rotated_as_they_are_read(rotated_bytes: int) -> None:
    some = case(pinned=(1,))
    some.tensors[3].requires_grad_(False)
    angles = torch.linspace(0.0, 3.0, sum(RAGGED) * 8, device=DEVICE).view(-1, 8)
    rotary = Rotary(cos=angles.cos(), sin=angles.sin())
    exact = Rotary(cos=rotary.cos.double(), sin=rotary.sin.double())
    got = some.gradients(Options(rotated_bytes=rotated_bytes), pinned=(1,), rotary=rotary)
    assert len(got) == 4
    assert_near(got, some.expected(pinned=(1,), rotary=exact), torch.float32)


@pytest.mark.usefixtures("poisoned")
def test_the_same_input_gives_the_same_bits_however_many_rows_at_once() -> None:
    some = case(dtype=torch.bfloat16, popular=4)
    first, again = (some.gradients(Options(partials="stored")) for _ in range(2))
    few = some.gradients(Options(partials="stored", partial_bytes=1))
    for one, other, third in zip(first, again, few, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


@pytest.mark.parametrize("fill", [0.0, torch.nan, torch.inf])
def test_keys_that_nobody_chose_have_a_gradient_of_zero(fill: float) -> None:
    some = case()
    some.indices[some.indices == 2] = -1
    start, stop = some.offsets[2:4]
    expected = some.expected()
    with torch.no_grad():
        for x in some.tensors[3:]:
            x[:, :, start:stop] = fill
    got = some.gradients()
    assert_near(got[:3], expected[:3], torch.float32)
    for x in got[3:]:
        assert x.isfinite().all()
        assert (x[:, :, start:stop] == 0).all()
        assert (x[:, :, :start] != 0).any()


def test_gradients_only_where_they_are_wanted() -> None:
    some = case(pinned=(1,))
    everything = some.gradients(pinned=(1,))
    for wanted in ((0,), (1, 2), (4,), (3, 4), (0, 3)):
        for nth, x in enumerate(some.tensors):
            x.requires_grad_(nth in wanted)
        got = some.gradients(pinned=(1,))
        for mine, nth in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine, everything[nth], msg=NAMES[nth])


def test_gradients_of_gradients_are_refused() -> None:
    some = case()
    over_history = triton_backend(Options()).over_history
    assert over_history is not None
    q, own_k, own_v, k, v = some.tensors
    out, mass = over_history(q, own_k, own_v, k, v, some.offsets, some.indices)
    assert not mass.own.requires_grad
    assert not mass.routed.requires_grad
    (first,) = torch.autograd.grad(out.square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_gradient_is_the_slope() -> None:
    """Along a random direction, by differences of the outputs themselves."""
    some = case(pinned=(1,))
    over_history = triton_backend(Options()).over_history
    assert over_history is not None
    generator = torch.Generator().manual_seed(7)
    way = [torch.randn(x.shape, generator=generator).to(DEVICE) for x in some.tensors]

    def value(step: float) -> float:
        q, own_k, own_v, k, v = (x.detach() + step * d for x, d in zip(some.tensors, way, strict=True))
        out, _ = over_history(q, own_k, own_v, k, v, some.offsets, some.indices, pinned=(1,))
        return float((out.double() * some.grad).sum())

    slope = (value(2e-3) - value(-2e-3)) / 4e-3
    gradients = some.gradients(pinned=(1,))
    expected = sum(float((g.double() * d).sum()) for g, d in zip(gradients, way, strict=True))
    assert slope == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("add", "entries"), [(False, 2), (True, 2), (False, 6)])
@pytest.mark.usefixtures("poisoned")
def test_pairs_of_a_popular_chunk_are_added_in_shares(add: bool, entries: int) -> None:
    """One chunk that all queries chose, in as many shares as three tiles of pairs have.

    Entries of the batch that follow each other share a history.
    """
    some = case(L=45, popular=2, missing=0.0, B=entries, histories=2)
    q, _, _, k, v = (x.detach().flatten(0, 1) for x in some.tensors)
    indices = some.indices.flatten(0, 1)
    out, lse, grad = q + 1, q.square().sum(dim=-1), some.grad.flatten(0, 1).contiguous()
    routed = Routed(
        q=q,
        grad=grad,
        lse=lse,
        delta=output_dot_gradient(out, grad),
        indices_RLK=indices,
        pairs=pack_pairs(indices, device_offsets(some.offsets, q.device), by_slot=False),
        scale=0.25,
        heads=2,
    )
    segment = Segment(k_RTD=k, v_RTD=v, first=0, last=len(RAGGED), start=0)
    found = []
    for splits in (1, 3):
        dk, dv = torch.ones_like(k), torch.ones_like(v)
        key_gradients(routed, segment, some.offsets, dk, dv, add=add, splits=splits)
        found.append((dk, dv))
    chosen = torch.repeat_interleave(torch.arange(len(RAGGED)), torch.tensor(RAGGED)).to(q.device)
    seen = (indices[..., None] == chosen).any(dim=2)
    k, v = (x.unflatten(0, (2, 2)).repeat_interleave(entries // 2, dim=0).flatten(0, 1) for x in (k, v))
    p = ((q @ k.transpose(1, 2)) / 4 - lse[..., None]).exp() * seen
    ds = p * (grad @ v.transpose(1, 2) - routed.delta[..., None])
    sums = (ds.transpose(1, 2) @ q / 4, p.transpose(1, 2) @ grad)
    dk, dv = (x.unflatten(0, (2, -1, 2)).sum(dim=1).flatten(0, 1) + add for x in sums)
    for got in found:
        assert_near(got, (dk, dv), torch.float32)
