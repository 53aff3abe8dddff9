"""One piece of a softmax: attention over some of the keys, with the log-sum-exp that lets pieces merge.

    out = Σ_p out_p · exp(lse_p - lse),    lse = log Σ_p exp(lse_p)

A piece's gradients follow from the *merged* output and log-sum-exp alone (as in FlashAttention,
arXiv 2205.14135, appendix B.4), so no piece need remember its own. On a CPU torch's fused kernel does the
work; on other devices products over blocks of queries, so that no L × S matrix is held at once.

Shapes: N and M independent rows (batch × heads, tiles, chunks), L queries, S ≥ 1 keys, D head width.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from moc_engine.ops.autocast import without_autocast

SCORES_AT_ONCE: Final = 1 << 25
"""Scores held at once where the kernel is not fused."""


def partial_attention(q_NMLD: Tensor, k_NMSD: Tensor, v_NMSD: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Output (N, M, L, D) in the dtype of q, and log-sum-exp (N, M, L) in float32, or float64 like q."""
    if q_NMLD.device.type != "cpu":
        return blocked_attention(q_NMLD, k_NMSD, v_NMSD, scale)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, lse = fused(q_NMLD, k_NMSD, v_NMSD, scale=scale)
    return out, lse


def partial_gradients(
    grad_NMLD: Tensor,
    q_NMLD: Tensor,
    k_NMSD: Tensor,
    v_NMSD: Tensor,
    out_NMLD: Tensor,
    lse_NML: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v through this piece, given the output and log-sum-exp of the merged softmax."""
    tensors = grad_NMLD, q_NMLD, k_NMSD, v_NMSD, out_NMLD, lse_NML
    if q_NMLD.device.type != "cpu":
        return blocked_gradients(*tensors, scale)
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    dq, dk, dv = fused(*tensors, 0.0, False, scale=scale)
    return dq, dk, dv


def blocked_attention(
    q_NMLD: Tensor, k_NMSD: Tensor, v_NMSD: Tensor, scale: float, at_once: int = SCORES_AT_ONCE
) -> tuple[Tensor, Tensor]:
    """As `partial_attention`, on any device, with `at_once` scores held at a time."""
    outs, lses = [], []
    with without_autocast(q_NMLD.device.type):
        for q in torch.split(q_NMLD, _block(q_NMLD, k_NMSD, at_once), dim=2):
            scores = _scores(q, k_NMSD, scale)
            lse = scores.logsumexp(dim=-1)
            weights = (scores - lse[..., None]).exp_().to(v_NMSD.dtype)
            outs.append(weights @ v_NMSD)
            lses.append(lse)
    return torch.cat(outs, dim=2), torch.cat(lses, dim=2)


def blocked_gradients(
    grad_NMLD: Tensor,
    q_NMLD: Tensor,
    k_NMSD: Tensor,
    v_NMSD: Tensor,
    out_NMLD: Tensor,
    lse_NML: Tensor,
    scale: float,
    at_once: int = SCORES_AT_ONCE,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `partial_gradients`, on any device; those of k and v in the dtype of `lse_NML`."""
    dqs = []
    dk = torch.zeros_like(k_NMSD, dtype=lse_NML.dtype)
    dv = torch.zeros_like(v_NMSD, dtype=lse_NML.dtype)
    size = _block(q_NMLD, k_NMSD, at_once)
    blocks = (torch.split(x, size, dim=2) for x in (q_NMLD, grad_NMLD, out_NMLD, lse_NML))
    with without_autocast(q_NMLD.device.type):
        for q, grad, out, lse in zip(*blocks, strict=True):
            weights = (_scores(q, k_NMSD, scale) - lse[..., None]).exp_()
            dv += weights.to(grad.dtype).transpose(2, 3) @ grad
            mean = (grad.to(lse.dtype) * out).sum(dim=-1, keepdim=True)
            dscores = ((grad @ v_NMSD.transpose(2, 3) - mean) * weights * scale).to(q.dtype)
            dqs.append(dscores @ k_NMSD)
            dk += dscores.transpose(2, 3) @ q
    return torch.cat(dqs, dim=2), dk, dv


def shares(lses: Tensor) -> tuple[Tensor, Tensor]:
    """The log-sum-exp of pieces over disjoint keys, merged along the first axis, and each piece's share."""
    whole = lses.logsumexp(dim=0)
    return whole, (lses - whole).exp_()


def _scores(q: Tensor, k: Tensor, scale: float) -> Tensor:
    wide = torch.promote_types(q.dtype, torch.float32)  # 16 bits are too few for large scores
    return q.to(wide) @ k.to(wide).transpose(2, 3) * scale


def _block(q_NMLD: Tensor, k_NMSD: Tensor, at_once: int) -> int:
    N, M, S, _ = k_NMSD.shape
    return max(1, at_once // (N * M * S))
