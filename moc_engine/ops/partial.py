"""One piece of a softmax: attention over some of the keys, with the log-sum-exp that lets pieces merge.

    out = Σ_p out_p · exp(lse_p - lse),    lse = log Σ_p exp(lse_p)

A piece's gradients follow from the *merged* output and log-sum-exp alone (as in FlashAttention,
arXiv 2205.14135, appendix B.4), so no piece need remember its own. On a CPU torch's fused kernel does the
work; on other devices products over blocks of queries, so that no L × S matrix is held at once.

Shapes: N independent rows (batch × heads, or tiles), L queries, S ≥ 1 keys, D head width.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

SCORES_AT_ONCE: Final = 1 << 25
"""Scores held at once where the kernel is not fused."""


def partial_attention(q_NLD: Tensor, k_NSD: Tensor, v_NSD: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Output (N, L, D) in the dtype of q, and log-sum-exp (N, L) in float32, or float64 like q."""
    if q_NLD.device.type != "cpu":
        return blocked_attention(q_NLD, k_NSD, v_NSD, scale)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, lse = fused(*(x.unsqueeze(1) for x in (q_NLD, k_NSD, v_NSD)), scale=scale)
    return out[:, 0], lse[:, 0]


def partial_gradients(
    grad_NLD: Tensor,
    q_NLD: Tensor,
    k_NSD: Tensor,
    v_NSD: Tensor,
    out_NLD: Tensor,
    lse_NL: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v through this piece; `out_NLD` and `lse_NL` are those of the merged softmax."""
    tensors = grad_NLD, q_NLD, k_NSD, v_NSD, out_NLD, lse_NL
    if q_NLD.device.type != "cpu":
        return blocked_gradients(*tensors, scale)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    dq, dk, dv = fused(*(x.unsqueeze(1) for x in tensors), 0.0, False, scale=scale)
    return dq[:, 0], dk[:, 0], dv[:, 0]


def blocked_attention(
    q_NLD: Tensor, k_NSD: Tensor, v_NSD: Tensor, scale: float, at_once: int = SCORES_AT_ONCE
) -> tuple[Tensor, Tensor]:
    """As `partial_attention`, on any device, with `at_once` scores held at a time."""
    outs, lses = [], []
    for q in torch.split(q_NLD, _block(q_NLD, k_NSD, at_once), dim=1):
        scores = _scores(q, k_NSD, scale)
        lse = scores.logsumexp(dim=-1)
        weights = (scores - lse[..., None]).exp_().to(v_NSD.dtype)
        outs.append(weights @ v_NSD)
        lses.append(lse)
    return torch.cat(outs, dim=1), torch.cat(lses, dim=1)


def blocked_gradients(
    grad_NLD: Tensor,
    q_NLD: Tensor,
    k_NSD: Tensor,
    v_NSD: Tensor,
    out_NLD: Tensor,
    lse_NL: Tensor,
    scale: float,
    at_once: int = SCORES_AT_ONCE,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `partial_gradients`, on any device; those of k and v in the dtype of `lse_NL`."""
    dqs = []
    dk = torch.zeros_like(k_NSD, dtype=lse_NL.dtype)
    dv = torch.zeros_like(v_NSD, dtype=lse_NL.dtype)
    size = _block(q_NLD, k_NSD, at_once)
    blocks = (torch.split(x, size, dim=1) for x in (q_NLD, grad_NLD, out_NLD, lse_NL))
    for q, grad, out, lse in zip(*blocks, strict=True):
        weights = (_scores(q, k_NSD, scale) - lse[..., None]).exp_()
        dv += weights.to(grad.dtype).transpose(1, 2) @ grad
        mean = (grad.to(lse.dtype) * out).sum(dim=-1, keepdim=True)
        dscores = ((grad @ v_NSD.transpose(1, 2) - mean) * weights * scale).to(q.dtype)
        dqs.append(dscores @ k_NSD)
        dk += dscores.transpose(1, 2) @ q
    return torch.cat(dqs, dim=1), dk, dv


def merge(out: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> tuple[Tensor, Tensor]:
    """Two pieces over disjoint keys as one: outputs (N, L, D), log-sum-exps (N, L)."""
    both = torch.logaddexp(lse, other_lse)
    out = out * (lse - both).exp()[..., None] + other * (other_lse - both).exp()[..., None]
    return out, both


def _scores(q: Tensor, k: Tensor, scale: float) -> Tensor:
    wide = torch.promote_types(q.dtype, torch.float32)  # 16 bits are too few for large scores
    return q.to(wide) @ k.to(wide).transpose(1, 2) * scale


def _block(q_NLD: Tensor, k_NSD: Tensor, at_once: int) -> int:
    return max(1, at_once // (q_NLD.shape[0] * k_NSD.shape[1]))
