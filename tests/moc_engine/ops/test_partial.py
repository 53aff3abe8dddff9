"""Pieces of a softmax: fused and in blocks, and merged to the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moc_engine.ops.partial import (
    blocked_attention,
    blocked_gradients,
    partial_attention,
    partial_gradients,
    shares,
)


def noise(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


@pytest.mark.parametrize("at_once", [1, 300, 1 << 20])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_products_in_blocks_give_what_the_fused_kernel_gives(at_once: int, scale: float) -> None:
    q, k, v, grad = (noise(n, 3, 2, L, 8, scale=scale) for n, L in enumerate((17, 9, 9, 17)))
    fused = partial_attention(q, k, v, 0.3)
    blocked = blocked_attention(q, k, v, 0.3, at_once)
    for got, want in zip(blocked, fused, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5 * scale, rtol=1e-5)
    gradients = blocked_gradients(grad, q, k, v, *fused, 0.3, at_once)
    for got, want in zip(gradients, partial_gradients(grad, q, k, v, *fused, 0.3), strict=True):
        torch.testing.assert_close(got, want, atol=1e-5 * scale**3, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_scores_in_16_bits(dtype: torch.dtype) -> None:
    q, k, v = (noise(n, 3, 1, tokens, 8, scale=10).to(dtype) for n, tokens in enumerate((5, 7, 7)))
    out, lse = blocked_attention(q, k, v, 0.3)
    scores = q.double() @ k.double().transpose(2, 3) * 0.3
    right = scores.softmax(dim=-1) @ v.double()
    assert (out.double() - right).norm() / right.norm() < 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(lse.double(), scores.logsumexp(dim=-1), rtol=1e-5, atol=1e-4)


def test_autocast_changes_no_product_in_blocks() -> None:
    q, k, v, grad = (noise(n, 3, 1, tokens, 8, scale=3) for n, tokens in enumerate((5, 7, 7, 5)))
    out, lse = blocked_attention(q, k, v, 0.3)
    gradients = blocked_gradients(grad, q, k, v, out, lse, 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        again = blocked_attention(q, k, v, 0.3)
        gradients_again = blocked_gradients(grad, q, k, v, out, lse, 0.3)
    for mine, theirs in zip((*again, *gradients_again), (out, lse, *gradients), strict=True):
        assert mine.dtype == torch.float32
        assert torch.equal(mine, theirs)


def test_pieces_merge_to_the_whole() -> None:
    q, k, v = noise(0, 1, 2, 5, 4), noise(1, 1, 2, 9, 4), noise(2, 1, 2, 9, 4)
    out, lse = partial_attention(q, k, v, 0.5)
    cuts = slice(2), slice(2, 8), slice(8, 9)
    outs, lses = zip(*(partial_attention(q, k[:, :, cut], v[:, :, cut], 0.5) for cut in cuts), strict=True)
    merged, weights = shares(torch.stack(lses))
    torch.testing.assert_close(merged, lse)
    torch.testing.assert_close((torch.stack(outs) * weights[..., None]).sum(0), out)


def test_a_piece_without_keys_of_its_own_has_no_share() -> None:
    nothing = torch.full((2, 3), -torch.inf)
    merged, weights = shares(torch.stack((noise(0, 2, 3), nothing)))
    torch.testing.assert_close(merged, noise(0, 2, 3))
    assert torch.equal(weights, torch.stack((torch.ones(2, 3), torch.zeros(2, 3))))
