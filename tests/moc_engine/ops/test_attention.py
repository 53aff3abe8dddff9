"""Every backend against a plain masked softmax in float64, outputs and gradients."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from moc_engine.config import Backend, RoutingConfig, Steering
from moc_engine.ops.grouped import grouped_attention
from moc_engine.ops.layout import ChunkLayout, by_length
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.rotary import Rotary, apply_rotary
from moc_engine.ops.routing import route
from moc_engine.ops.selection import QueryGroup, Selection
from tests.fakes.drawn_layouts import stories
from tests.fakes.layouts import story

BACKENDS: tuple[Backend, ...] = ("naive", "grouped")

sparse = story(
    [[9, 4, 1, 7], [5, 5, 6], [1], [8, 3, 2, 2, 9], [6, 7]],
    captions=[3, 0, 2, 1, 2],
    global_caption=4,
)
"""Ragged, with an empty caption, one-token chunks and far more chunks than any query takes."""


def noise(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def inputs(
    layout: ChunkLayout, shot: int | None, *, scale: float = 1.0, B: int = 2, H: int = 3, D: int = 8
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values that want gradients, and a gradient of the output."""
    L = layout.tokens if shot is None else layout.video_tokens(shot)
    q, k, v = (noise(n, B, H, T, D, scale=scale) for n, T in enumerate((L, layout.tokens, layout.tokens)))
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), noise(3, B, H, L, D)


def oracle(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """softmax over what the mask allows, query by query, in float64."""
    out = torch.zeros_like(q)
    for b, h, i in itertools.product(*map(range, q.shape[:3])):
        seen = mask[b, h, i]
        weights = (k[b, h, seen] @ q[b, h, i] / math.sqrt(q.shape[-1])).softmax(dim=0)
        out = out.index_put((torch.tensor(b), torch.tensor(h), torch.tensor(i)), weights @ v[b, h, seen])
    return out


def assert_near(got: Tensor, expected: Tensor, size: float, greatest_score: float = 1.0) -> None:
    """Within rounding of the size that the terms of the sum have, which may all but cancel out.

    A score of s is known to s · 1.2e-7 in float32, and its exponential is off by as large a share.
    """
    eps = max(1e-5, 4 * torch.finfo(torch.float32).eps * greatest_score)
    worst = (got.double() - expected).abs().max().item()
    assert worst <= eps * max(size, expected.abs().max().item()), (worst, size)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("shot", [4, None])
def test_outputs_and_gradients_are_the_oracles(backend: Backend, scale: float, shot: int | None) -> None:
    q, k, v, grad = inputs(sparse, shot, scale=scale)
    selection = route(q, k, sparse, shot, RoutingConfig(top_k=2))
    mask = selection.mask()
    assert mask.float().mean() < 0.6
    out = moc_attention(q, k, v, sparse, selection, backend)
    exact = tuple(x.detach().double().requires_grad_() for x in (q, k, v))
    expected = oracle(exact[0], exact[1], exact[2], mask)
    assert out.dtype == torch.float32
    greatest = (q @ k.transpose(2, 3)).abs().max().item() / math.sqrt(8)
    assert_near(out, expected, scale, greatest)
    through_scores = 4 * scale * scale * math.sqrt(8)  # |v| · |k| · |grad| / √D, a few of them
    gradients = torch.autograd.grad(out, (q, k, v), grad)
    expecteds = torch.autograd.grad(expected, exact, grad.double())
    for got, want, size in zip(gradients, expecteds, (through_scores, through_scores, 1.0), strict=True):
        assert_near(got, want, size, greatest)


@given(stories(), st.integers(0, 3), st.none() | st.integers(1, 2), st.booleans(), st.integers(0, 99))
@settings(max_examples=40)
def test_grouped_equals_naive_on_any_story(
    layout: ChunkLayout, top_k: int, outer: int | None, whole: bool, seed: int
) -> None:
    shot = None if whole else layout.shots[-1]
    q, k, v, grad = inputs(layout, shot, B=1 + seed % 2, H=1 + seed % 3, D=4)
    captions: Literal["own", "all"] = "all" if seed % 5 == 0 else "own"
    config = RoutingConfig(top_k=top_k, outer_shots=outer, captions=captions, drop_off=0.5, drop_in=1.0)
    selection = route(q, k, layout, shot, config, generator=torch.Generator().manual_seed(seed))
    results = []
    for backend in BACKENDS:
        out, mass = moc_attention(q, k, v, layout, selection, backend, return_mass=True)
        results.append((out, mass, *torch.autograd.grad(out, (q, k, v), grad)))
    results.append((plain := moc_attention(q, k, v, layout, selection), results[0][1]))
    results[-1] += torch.autograd.grad(plain, (q, k, v), grad)
    for other in results[1:]:
        for got, want in zip(other, results[0], strict=True):
            torch.testing.assert_close(got, want, atol=3e-5, rtol=3e-5)


def test_the_backward_is_the_forwards_derivative() -> None:
    layout = story([[3, 2], [1, 2], [2]], captions=[1, 0, 1], global_caption=1)
    q, k, v, _ = (x.double().detach().requires_grad_() for x in inputs(layout, None, B=1, H=2, D=3))
    selection = route(q, k, layout, None, RoutingConfig(top_k=1))

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return moc_attention(q, k, v, layout, selection, "grouped")

    assert torch.autograd.gradcheck(attend, (q, k, v))


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_chunks_routed_is_plain_causal_attention(backend: Backend) -> None:
    layout = story([[4, 3], [5], [2, 2, 1], [6]])
    q, k, v, _ = inputs(layout, None)
    selection = route(q, k, layout, None, RoutingConfig(top_k=layout.chunks))
    shot = torch.tensor(layout.token_shot)
    mask = shot[None, :] <= shot[:, None]
    assert torch.equal(selection.mask(), mask.expand(2, 3, -1, -1))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(moc_attention(q, k, v, layout, selection, backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_mass_of_chunks_is_the_oracles_and_sums_to_one(backend: Backend) -> None:
    q, k, v, _ = inputs(sparse, 4)
    selection = route(q, k, sparse, 4, RoutingConfig(top_k=2), Steering(pins=(1,)))
    mask = selection.mask()
    weights = (q @ k.transpose(2, 3) / math.sqrt(8)).masked_fill(~mask, -torch.inf).softmax(dim=-1)
    _, mass = moc_attention(q, k, v, sparse, selection, backend, return_mass=True)
    assert mass.shape == (2, 3, 13, sparse.chunks)
    assert not mass.requires_grad
    for c in range(sparse.chunks):
        share = weights[..., sparse.offsets[c] : sparse.offsets[c + 1]].sum(dim=-1)
        torch.testing.assert_close(mass[..., c], share, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mass.sum(dim=-1), torch.ones(2, 3, 13))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fill", [math.nan, math.inf])
def test_what_nobody_attends_to_may_hold_anything(backend: Backend, fill: float) -> None:
    q, k, v, grad = inputs(sparse, 3)
    steering = Steering(bans=(1,))
    selection = route(q, k, sparse, 3, RoutingConfig(top_k=1), steering)
    idle = ~selection.mask().any(dim=2)[..., None]
    assert idle[..., torch.tensor(sparse.token_shot > 3), :].all()
    expected = moc_attention(q, k, v, sparse, selection, "naive")
    expecteds = torch.autograd.grad(expected, (q, k, v), grad)
    k2, v2 = (x.detach().masked_fill(idle, fill).requires_grad_() for x in (k, v))
    again = route(q, k2, sparse, 3, RoutingConfig(top_k=1), steering)
    out, mass = moc_attention(q, k2, v2, sparse, selection, backend, return_mass=True)
    gradients = torch.autograd.grad(out, (q, k2, v2), grad)
    torch.testing.assert_close(out, expected)
    assert mass.isfinite().all()
    assert again.indices.shape == selection.indices.shape
    for got, want in zip(gradients, expecteds, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_a_query_is_not_poisoned_by_a_chunk_that_only_others_chose() -> None:
    layout = story([[2, 2], [2]])
    q, k, v, _ = inputs(layout, 1, B=1, H=1)
    indices = torch.tensor([[0], [1]]).view(1, 1, 2, 1)
    selection = Selection(indices=indices, groups=route(q, k, layout, 1).groups, layout=layout)
    poisoned = v.detach().clone()
    poisoned[:, :, 2:4] = math.nan
    out = moc_attention(q, k, poisoned, layout, selection, "grouped")
    assert out[0, 0, 0].isfinite().all()
    assert out[0, 0, 1].isnan().all()
    nobody = Selection(
        indices=torch.tensor([[-1], [1]]).view(1, 1, 2, 1), groups=selection.groups, layout=layout
    )
    assert moc_attention(q, k, poisoned, layout, nobody, "grouped")[0, 0, 0].isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_huge_scores_neither_overflow_nor_vanish(backend: Backend) -> None:
    q, k, v, grad = inputs(sparse, 4, scale=1e3)
    selection = route(q, k, sparse, 4)
    out = moc_attention(q, k, v, sparse, selection, backend)
    assert out.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(out, (q, k, v), grad))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_dtype_and_its_accuracy(backend: Backend, dtype: torch.dtype) -> None:
    q, k, v, grad = (x.detach().to(dtype).requires_grad_() for x in inputs(sparse, 4))
    selection = route(q, k, sparse, 4)
    out = moc_attention(q, k, v, sparse, selection, backend)
    exact = tuple(x.detach().double().requires_grad_() for x in (q, k, v))
    expected = oracle(exact[0], exact[1], exact[2], selection.mask())
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), expected, atol=2e-2, rtol=2e-2)
    gradients = torch.autograd.grad(out, (q, k, v), grad)
    for got, want in zip(gradients, torch.autograd.grad(expected, exact, grad.double()), strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), want, atol=5e-2, rtol=5e-2)


def test_tensors_may_lie_in_memory_as_a_projection_leaves_them() -> None:
    q, k, v, _ = inputs(sparse, 4)
    selection = route(q, k, sparse, 4)
    strided = [x.detach().transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    assert not strided[0].is_contiguous()
    expected = moc_attention(q, k, v, sparse, selection)
    torch.testing.assert_close(moc_attention(strided[0], strided[1], strided[2], sparse, selection), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_scale_is_taken(backend: Backend) -> None:
    q, k, v, _ = inputs(sparse, 4)
    selection = route(q, k, sparse, 4)
    expected = moc_attention(q * 2, k, v, sparse, selection, backend)
    scaled = moc_attention(q, k, v, sparse, selection, backend, scale=2 / math.sqrt(8))
    torch.testing.assert_close(scaled, expected)


def test_the_same_input_gives_the_same_bits() -> None:
    layout = by_length([500, 300], 7)
    q, k, v, grad = inputs(layout, 1)
    runs = []
    for _ in range(2):
        selection = route(q, k, layout, 1)
        out, mass = moc_attention(q, k, v, layout, selection, return_mass=True)
        runs.append((selection.indices, out, mass, *torch.autograd.grad(out, (q, k, v), grad)))
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_chunks_that_everybody_chose_fill_many_tiles() -> None:
    layout = by_length([6, 1500], 3)
    q, k, v, grad = inputs(layout, 1, B=1, H=2)
    selection = route(q, k, layout, 1, RoutingConfig(top_k=2))
    results = []
    for backend in BACKENDS:
        out = moc_attention(q, k, v, layout, selection, backend)
        results.append((out, *torch.autograd.grad(out, (q, k, v), grad)))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_long_selections_are_handled_in_blocks() -> None:
    """More pairs in a row than are held at once."""
    layout = by_length([2] * 80 + [3000], 2)
    q, k, v, grad = inputs(layout, 80, B=1, H=2, D=4)
    own = torch.tensor(layout.shot == 80).numpy()
    chosen = torch.arange(60).expand(1, 2, 3000, 60).contiguous()
    none = np.zeros_like(own)
    group = QueryGroup(shot=80, start=0, stop=3000, own=own, captions=none, pinned=none)
    selection = Selection(indices=chosen, groups=(group,), layout=layout)
    out = moc_attention(q, k, v, layout, selection)
    attended = torch.cat((torch.arange(120), torch.arange(160, 3160)))
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(
        exact[0], exact[1][:, :, attended], exact[2][:, :, attended]
    )
    assert_near(out, expected, 1.0)
    gradients = torch.autograd.grad(out, (q, k, v), grad)
    for got, want in zip(gradients, torch.autograd.grad(expected, exact, grad.double()), strict=True):
        assert_near(got, want, 4.0)


def apart(pins: tuple[int, ...] = ()) -> Any:
    """A story's last shot as rendering sees it: own keys, history and what the whole story would give."""
    layout = by_length([7, 9, 5, 6], 4)
    q, k, v, grad = inputs(layout, 3)
    selection = route(q, k, layout, 3, RoutingConfig(top_k=2), Steering(pins=pins))
    whole = moc_attention(q, k, v, layout, selection, "naive", return_mass=True)
    return layout, layout.token_span(3)[0], q, k, v, grad, selection, whole


def test_own_and_history_keys_apart_give_the_same() -> None:
    layout, start, q, k, v, grad, selection, (expected, expected_mass) = apart(pins=(1,))
    out, mass = grouped_attention(
        q,
        k[:, :, start:],
        v[:, :, start:],
        k[:, :, :start],
        v[:, :, :start],
        layout.offsets[:-2],
        selection.indices,
        pinned=np.flatnonzero(layout.shot == 1).tolist(),
    )
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(mass.own, expected_mass[..., -2:].sum(dim=-1, keepdim=True))
    torch.testing.assert_close(mass.pinned, expected_mass[..., layout.shot == 1])
    torch.testing.assert_close(mass.routed, expected_mass.gather(-1, selection.indices))
    total = mass.own.sum(dim=-1) + mass.pinned.sum(dim=-1) + mass.routed.sum(dim=-1)
    torch.testing.assert_close(total, torch.ones_like(total))
    for got, want in zip(
        torch.autograd.grad(out, (q, k, v), grad),
        torch.autograd.grad(expected, (q, k, v), grad),
        strict=True,
    ):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_pins_may_stand_among_the_indices() -> None:
    layout, start, q, k, v, _, selection, (expected, _) = apart(pins=(1,))
    pins = torch.tensor(np.flatnonzero(layout.shot == 1)).expand(*q.shape[:3], -1)
    history = k[:, :, :start], v[:, :, :start], layout.offsets[:-2]
    indices = torch.cat((pins, selection.indices), dim=-1)
    out, _ = grouped_attention(q, k[:, :, start:], v[:, :, start:], *history, indices)
    torch.testing.assert_close(out, expected)


def test_history_keys_are_rotated_as_they_are_gathered() -> None:
    layout, start, q, k, v, grad, selection, (expected, _) = apart(pins=(1,))
    angles = noise(9, start, q.shape[-1] // 2)
    cos, sin = angles.cos(), angles.sin()
    out, _ = grouped_attention(
        q,
        k[:, :, start:],
        v[:, :, start:],
        apply_rotary(k[:, :, :start].detach(), cos, -sin),
        v[:, :, :start],
        layout.offsets[:-2],
        selection.indices,
        pinned=np.flatnonzero(layout.shot == 1).tolist(),
        rotary=Rotary(cos=cos, sin=sin),
    )
    torch.testing.assert_close(out, expected)
    got = torch.autograd.grad(out, (q, v), grad)
    for gradient, want in zip(got, torch.autograd.grad(expected, (q, v), grad), strict=True):
        torch.testing.assert_close(gradient, want, atol=1e-5, rtol=1e-5)


def test_a_history_may_be_strided_or_shared_by_the_batch() -> None:
    layout, start, q, k, v, grad, selection, _ = apart(pins=(1,))
    pinned = np.flatnonzero(layout.shot == 1).tolist()
    one_k, one_v = (x[:1, :, :start].detach().requires_grad_() for x in (k, v))
    repeated = [x.expand(2, -1, -1, -1).contiguous() for x in (one_k, one_v)]
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in repeated]
    results = []
    for history_k, history_v in (repeated, strided, (one_k, one_v)):
        out, mass = grouped_attention(
            q,
            k[:, :, start:],
            v[:, :, start:],
            history_k,
            history_v,
            layout.offsets[:-2],
            selection.indices,
            pinned=pinned,
        )
        results.append((out, mass.pinned, *torch.autograd.grad(out, (q, one_k, one_v), grad)))
    for other in results[1:]:
        for got, want in zip(other, results[0], strict=True):
            torch.testing.assert_close(got, want)


def test_a_first_shot_has_no_history() -> None:
    q, k, v = (noise(n, 2, 3, 5, 8) for n in range(3))
    out, mass = grouped_attention(q, k, v)
    torch.testing.assert_close(out, torch.nn.functional.scaled_dot_product_attention(q, k, v))
    assert mass.own.shape == (2, 3, 5, 1)
    assert mass.routed.shape == (2, 3, 5, 0)


def test_the_core_names_wrong_arguments() -> None:
    q = noise(0, 1, 1, 3, 4)
    with pytest.raises(ValueError, match=r"^q_BHLD: "):
        grouped_attention(q[:, :, :0], q, q)
    with pytest.raises(ValueError, match=r"^own_k_BHSD: "):
        grouped_attention(q, q[:, :, :0], q[:, :, :0])
    with pytest.raises(ValueError, match=r"^history_offsets: "):
        grouped_attention(q, q, q, q, q)
    with pytest.raises(ValueError, match=r"^rotary: "):
        learning = q.clone().requires_grad_()
        rotary = Rotary(cos=torch.ones(3, 2), sin=torch.zeros(3, 2))
        grouped_attention(q, q, q, learning, q, np.array([0, 3]), rotary=rotary)


def test_wrong_arguments_are_named() -> None:
    layout = story([[2], [3]])
    q, k, v, _ = (x.detach() for x in inputs(layout, 1))
    selection = route(q, k, layout, 1)
    others = story([[1, 1], [3]]), story([[3], [2]])
    calls = {
        "backend": lambda: moc_attention(q, k, v, layout, selection, "magic"),
        "q": lambda: moc_attention(q[0], k, v, layout, selection),
        "k": lambda: moc_attention(q, k[:, :, 1:], v, layout, selection),
        "v": lambda: moc_attention(q, k, v.double(), layout, selection),
        "selection": lambda: moc_attention(q[:, :, 1:], k, v, layout, selection),
    }
    for argument, call in calls.items():
        with pytest.raises(ValueError, match=f"^{argument}: "):
            call()
    with pytest.raises(ValueError, match=r"^backend: 'gathered' does not support all keys of a story"):
        moc_attention(q, k, v, layout, selection, "gathered")
    with pytest.raises(ValueError, match=r"^q: expected floating point"):
        moc_attention(q.long(), k.long(), v.long(), layout, selection)
    for other in others:
        with pytest.raises(ValueError, match=r"^selection: made for another layout"):
            moc_attention(q, k, v, other, selection)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes; of a view, no more than what it shows of."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **kwargs or {})
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                stored = tensor.untyped_storage().nbytes() // tensor.itemsize
                self.numel = max(self.numel, min(tensor.numel(), stored))
        return made


def test_no_matrix_of_queries_by_keys_or_by_chunks_is_written() -> None:
    layout = by_length([1024] * 9, 64)
    q, k, v, grad = inputs(layout, 8, B=1, H=1, D=16)
    L, C, D = 1024, layout.chunks, 16
    with Largest() as largest:
        selection = route(q, k, layout, 8)
        out, _ = moc_attention(q, k, v, layout, selection, return_mass=True)
        torch.autograd.grad(out, (q, k, v), grad)
    assert layout.tokens * D <= largest.numel < L * L // 3
    assert largest.numel < L * C * D // 6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("shot", [4, None])
def test_a_gpu_gives_what_the_cpu_gives(shot: int | None) -> None:
    q, k, v, grad = inputs(sparse, shot)
    selection = route(q, k, sparse, shot)
    expected = moc_attention(q, k, v, sparse, selection, "naive")
    expecteds = torch.autograd.grad(expected, (q, k, v), grad)
    there = [x.detach().cuda().requires_grad_() for x in (q, k, v)]
    selection = route(there[0], there[1], sparse, shot)
    for backend in BACKENDS:
        out, mass = moc_attention(there[0], there[1], there[2], sparse, selection, backend, return_mass=True)
        assert out.device.type == mass.device.type == "cuda"
        torch.testing.assert_close(out.cpu(), expected, atol=1e-4, rtol=1e-4)
        gradients = torch.autograd.grad(out, there, grad.cuda())
        for got, want in zip(gradients, expecteds, strict=True):
            torch.testing.assert_close(got.cpu(), want, atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_history_may_stay_in_main_memory() -> None:
    layout, start, q, k, v, grad, selection, (expected, _) = apart(pins=(1,))
    device_q, own_k, own_v = (x.detach().cuda() for x in (q, k[:, :, start:], v[:, :, start:]))
    out, _ = grouped_attention(
        device_q.requires_grad_(),
        own_k,
        own_v,
        k[:, :, :start],
        v[:, :, :start],
        layout.offsets[:-2],
        selection.indices.cuda(),
        pinned=np.flatnonzero(layout.shot == 1).tolist(),
    )
    torch.testing.assert_close(out.cpu(), expected, atol=1e-4, rtol=1e-4)
    got = torch.autograd.grad(out, (device_q, k), grad.cuda())
    wanted_q, wanted_k = torch.autograd.grad(expected, (q, k), grad)
    torch.testing.assert_close(got[0].cpu(), wanted_q, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got[1][:, :, :start], wanted_k[:, :, :start], atol=1e-4, rtol=1e-4)
