"""Full attention by the library's kernels that return a log-sum-exp.

    cudnn        bfloat16 and float16 where it works
    flash        bfloat16 and float16 elsewhere
    efficient    float32, and head sizes that neither takes
    blocked      what no fused kernel takes
    cpu          in Triton's interpreter

Shapes: B batch, H heads, L queries, S keys, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from moc_engine.ops.partial import blocked_attention

DenseKernel = Literal["cudnn", "flash", "efficient", "blocked", "cpu"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """A piece's output (B, H, L, D), any strides, and log-sum-exp (B, H, L) in float32, contiguous.

    `state` is what else the kernel's backward wants, in its order.
    """

    out: Tensor
    lse: Tensor
    kernel: DenseKernel
    state: tuple[Any, ...] = ()


def dense_kernel(q_BHLD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor) -> DenseKernel:
    """The fastest kernel that takes these tensors and returns a log-sum-exp."""
    if q_BHLD.device.type == "cpu":
        return "cpu"
    cuda = torch.backends.cuda
    params = cuda.SDPAParams(q_BHLD, k_BHSD, v_BHSD, None, 0.0, False, False)
    if q_BHLD.dtype in (torch.bfloat16, torch.float16):
        if cuda.can_use_cudnn_attention(params):
            return "cudnn"
        if cuda.can_use_flash_attention(params):
            return "flash"
    return "efficient" if cuda.can_use_efficient_attention(params) else "blocked"


def dense_attention(q_BHLD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, scale: float) -> Dense:
    """Attention of all queries to all keys."""
    aten = torch.ops.aten
    kernel = dense_kernel(q_BHLD, k_BHSD, v_BHSD)
    lse: Tensor
    if kernel == "cudnn":
        out, lse, *state = aten._scaled_dot_product_cudnn_attention(
            q_BHLD, k_BHSD, v_BHSD, None, True, 0.0, False, False, scale=scale
        )
        lse = lse.reshape(out.shape[:3])
    elif kernel == "flash":
        out, lse, *state = aten._scaled_dot_product_flash_attention(
            q_BHLD, k_BHSD, v_BHSD, 0.0, False, False, scale=scale
        )
    elif kernel == "efficient":
        out, lse, *state = aten._scaled_dot_product_efficient_attention(
            q_BHLD, k_BHSD, v_BHSD, None, True, 0.0, False, scale=scale
        )
        lse = lse[:, :, : out.shape[2]]  # it is padded to a multiple of 32
    elif kernel == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q_BHLD, k_BHSD, v_BHSD, scale=scale)
        state = []
    else:
        q, k, v = (x.flatten(0, 1) for x in (q_BHLD, k_BHSD, v_BHSD))
        out, lse = (x.unflatten(0, q_BHLD.shape[:2]) for x in blocked_attention(q, k, v, scale))
        state = []
    return Dense(out=out, lse=lse.float().contiguous(), kernel=kernel, state=tuple(state))
