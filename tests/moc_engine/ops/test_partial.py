"""One piece of a softmax by products over blocks, as on devices without the CPU's fused kernel."""

from __future__ import annotations

import pytest
import torch

from moc_engine.ops.partial import blocked_attention


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_scores_in_16_bits(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (10 * torch.randn(3, tokens, 8, generator=generator).to(dtype) for tokens in (5, 7, 7))
    out, lse = blocked_attention(q, k, v, 0.3)
    scores = q.double() @ k.double().transpose(1, 2) * 0.3
    right = scores.softmax(dim=-1) @ v.double()
    assert (out.double() - right).norm() / right.norm() < 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(lse.double(), scores.logsumexp(dim=-1), rtol=1e-5, atol=1e-4)
