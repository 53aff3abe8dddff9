"""Gradients of the backend `triton` on a CUDA device at real sizes, against float64 or one row alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.ops.layout import Ints
from moc_engine.ops.naive import naive_history_attention
from moc_engine.ops.triton.attending import triton_backend
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.streaming import SegmentBuffers
from tests.fakes.kernels import DEVICE, needs_cuda
from tests.fakes.triton_attention import attend_over_history, poisoned_device_memory

pytestmark = [pytest.mark.gpu, needs_cuda]

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}
"""Greatest relative error in the norm, where scores are of the order of 1."""

OPTIONS = {
    "all rows at once": Options(partial_bytes=1 << 32),
    "few rows at once": Options(partial_bytes=1),
    "streamed": Options(always_streamed=True, buffers=SegmentBuffers(most_bytes=1 << 23)),
}


def tensors(
    *, dtype: torch.dtype, H: int = 2, D: int = 128, L: int = 1500, T: int = 7600, scale: float = 1.0
) -> list[Tensor]:
    """q, own k and v, history k and v, which want gradients."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    return [
        (torch.randn(1, H, tokens, D, device=DEVICE, generator=generator) * scale).to(dtype).requires_grad_()
        for tokens in (L, L, L, T, T)
    ]


def choices(H: int, L: int, chunks: int, K: int, *, popular: int | None = None) -> Tensor:
    """K distinct chunks of each query, every seventh query one fewer, query 5 none."""
    lots = torch.rand(1, H, L, chunks, generator=torch.Generator().manual_seed(1))
    if popular is not None:
        lots[..., popular] = 2
    indices = lots.topk(K, dim=-1).indices
    indices[:, :, ::7, K - 1] = -1
    indices[:, :, 5] = -1
    return indices.to(DEVICE)


def ragged(T: int, chunks: int) -> Ints:
    inner = np.random.default_rng(2).choice(np.arange(1, T), chunks - 1, replace=False)
    return np.concatenate(([0], np.sort(inner), [T]))


def gradients(
    leaves: list[Tensor], offsets: Ints, indices: Tensor, options: Options, pinned: tuple[int, ...] = ()
) -> tuple[Tensor, ...]:
    q, own_k, own_v, k, v = leaves
    out, _ = attend_over_history(options, (q, own_k, own_v, k, v), offsets, indices, pinned=pinned)
    return torch.autograd.grad(out, leaves, gradient_of(out))


def gradient_of(out: Tensor) -> Tensor:
    noise = torch.randn(out.shape, generator=torch.Generator(DEVICE).manual_seed(3), device=DEVICE)
    return noise.to(out.dtype)


def exact(
    leaves: list[Tensor], offsets: Ints, indices: Tensor, pinned: tuple[int, ...] = ()
) -> tuple[Tensor, ...]:
    q, own_k, own_v, k, v = wide = [x.detach().double().requires_grad_() for x in leaves]
    out, _ = naive_history_attention(q, own_k, own_v, k, v, offsets, indices, pinned=pinned)
    grad = gradient_of(out.to(leaves[0].dtype)).double()
    return torch.autograd.grad(out, wide, grad)


def assert_near(got: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float) -> None:
    for name, mine, theirs in zip(("q", "own k", "own v", "k", "v"), got, expected, strict=True):
        assert mine.isfinite().all(), name
        assert float((mine.double() - theirs).norm() / theirs.norm()) < tolerance, name


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    with poisoned_device_memory():
        yield


@pytest.fixture
def same_bits() -> Iterator[None]:
    """Within it the library's kernels add in a fixed order too."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("D", [32, 64, 96, 128, 256])
def test_gradients(options: Options, dtype: torch.dtype, D: int) -> None:
    leaves, offsets, indices = tensors(dtype=dtype, D=D), ragged(7600, 9), choices(2, 1500, 9, 3)
    indices[indices == 1] = -1
    got = gradients(leaves, offsets, indices, options, pinned=(1,))
    assert_near(got, exact(leaves, offsets, indices, pinned=(1,)), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_gradients_at_other_scales_of_the_input(dtype: torch.dtype, scale: float) -> None:
    """At 3 most queries attend to one key, and what remains of a gradient is a difference of larger terms."""
    leaves, offsets, indices = tensors(dtype=dtype, scale=scale), ragged(7600, 9), choices(2, 1500, 9, 3)
    tolerance = TOLERANCE[dtype] * (1 if scale < 1 else 6)
    assert_near(gradients(leaves, offsets, indices, Options()), exact(leaves, offsets, indices), tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.usefixtures("same_bits")
def test_the_same_input_gives_the_same_bits(dtype: torch.dtype) -> None:
    leaves, offsets = tensors(dtype=dtype, H=12, L=4096, T=20_000), ragged(20_000, 40)
    indices = choices(12, 4096, 40, 5, popular=7)
    first, again = (gradients(leaves, offsets, indices, Options()) for _ in range(2))
    few = gradients(leaves, offsets, indices, Options(partials="stored", partial_bytes=1))
    stored = gradients(leaves, offsets, indices, Options(partials="stored"))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(stored, few, strict=True):
        assert torch.equal(one, other)


def test_a_popular_chunk_of_a_short_history_is_added_in_shares() -> None:
    leaves, offsets = tensors(dtype=torch.bfloat16, T=700), ragged(700, 9)
    indices = choices(2, 1500, 9, 3, popular=4)
    got = gradients(leaves, offsets, indices, Options())
    assert_near(got, exact(leaves, offsets, indices), TOLERANCE[torch.bfloat16])


def test_nothing_waits_for_the_device() -> None:
    leaves, offsets, indices = tensors(dtype=torch.bfloat16), ragged(7600, 9), choices(2, 1500, 9, 3)
    gradients(leaves, offsets, indices, Options())  # compiles, and copies the offsets
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = gradients(leaves, offsets, indices, Options())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(x.isfinite().all() for x in got)


def test_histories_of_more_than_31_bits_of_numbers() -> None:
    H, T, D, L = 40, 450_000, 128, 500
    if torch.cuda.get_device_properties(DEVICE).total_memory < 64 << 30:
        pytest.skip("needs 64 GB on the device")
    assert H * T * D > 1 << 31
    leaves = tensors(dtype=torch.bfloat16, H=H, D=D, L=L, T=T)
    offsets, indices = np.arange(0, T + 1, 1500), choices(H, L, 300, 2)
    out = gradients(leaves, offsets, indices, Options())
    last = [x.detach()[:, -1:].contiguous().requires_grad_() for x in leaves]
    over_history = triton_backend(Options()).over_history
    assert over_history is not None
    alone, _ = over_history(last[0], last[1], last[2], last[3], last[4], offsets, indices[:, -1:])
    shape = (1, H, L, D)
    grad = gradient_of(torch.empty(shape, device=DEVICE, dtype=torch.bfloat16))[:, -1:]
    expected = torch.autograd.grad(alone, last, grad)
    got = tuple(x[:, -1:] for x in out)
    assert_near(got, tuple(x.double() for x in expected), TOLERANCE[torch.bfloat16])
