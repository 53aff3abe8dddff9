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
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from moc_engine.ops.partial import blocked_attention, blocked_gradients

DenseKernel = Literal["cudnn", "flash", "efficient", "blocked", "cpu"]

CUDNN_OF_ANY_LENGTH: Final = 91501
"""The version of cuDNN from which lengths need not be multiples of `CUDNN_LENGTHS`; torch 2.10 has it."""

CUDNN_LENGTHS: Final = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseCall:
    """What a kernel's backward wants to know of its forward: `state` is what it returned beside the output.

    `lse_shape` is the shape in which the kernel keeps the log-sum-exp (B, H, L).
    """

    kernel: DenseKernel
    state: tuple[Any, ...] = ()
    lse_shape: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """A piece's output (B, H, L, D), any strides, and log-sum-exp (B, H, L) in float32, contiguous."""

    out: Tensor
    lse: Tensor
    call: DenseCall


def dense_kernel(q_BHLD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, *, gradients: bool = False) -> DenseKernel:
    """The fastest kernel that returns a log-sum-exp; with `gradients` it can be differentiated."""
    if q_BHLD.device.type == "cpu":
        return "cpu"
    cuda = torch.backends.cuda
    with torch.set_grad_enabled(gradients):
        q = q_BHLD.detach().requires_grad_(gradients)
        params = cuda.SDPAParams(q, k_BHSD, v_BHSD, None, 0.0, False, False)
        if q.dtype in (torch.bfloat16, torch.float16) and q.shape[-1] % 8 == 0:
            if cuda.can_use_cudnn_attention(params) and _cudnn_takes(q.shape[2], k_BHSD.shape[2]):
                return "cudnn"
            if cuda.can_use_flash_attention(params):
                return "flash"
        return "efficient" if cuda.can_use_efficient_attention(params) else "blocked"


def _cudnn_takes(*lengths: int) -> bool:
    """Whether cuDNN computes these numbers of queries and keys rightly."""
    version = torch.backends.cudnn.version() or 0
    return version >= CUDNN_OF_ANY_LENGTH or not any(length % CUDNN_LENGTHS for length in lengths)


def dense_attention(
    q_BHLD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, scale: float, *, gradients: bool = False
) -> Dense:
    """Attention of all queries to all keys; with `gradients` by a kernel that can be differentiated."""
    aten = torch.ops.aten
    state: list[Any] = []
    kernel = dense_kernel(q_BHLD, k_BHSD, v_BHSD, gradients=gradients)
    lse: Tensor
    if kernel == "cudnn":
        k_BHSD, v_BHSD = (_unshared(x) for x in (k_BHSD, v_BHSD))
        out, lse, *state = aten._scaled_dot_product_cudnn_attention(
            q_BHLD, k_BHSD, v_BHSD, None, True, 0.0, False, False, scale=scale
        )
    elif kernel == "flash":
        out, lse, *state = aten._scaled_dot_product_flash_attention(
            q_BHLD, k_BHSD, v_BHSD, 0.0, False, False, scale=scale
        )
    elif kernel == "efficient":
        out, lse, *state = aten._scaled_dot_product_efficient_attention(
            q_BHLD, k_BHSD, v_BHSD, None, True, 0.0, False, scale=scale
        )
    elif kernel == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q_BHLD, k_BHSD, v_BHSD, scale=scale)
    else:
        out, lse = blocked_attention(q_BHLD, k_BHSD, v_BHSD, scale)
    call = DenseCall(kernel=kernel, state=tuple(state), lse_shape=tuple(lse.shape))
    if kernel == "efficient":
        lse = lse[:, :, : out.shape[2]]  # it is padded to a multiple of 32
    return Dense(out=out, lse=lse.reshape(out.shape[:3]).float().contiguous(), call=call)


def dense_gradients(
    call: DenseCall,
    grad_BHLD: Tensor,
    q_BHLD: Tensor,
    k_BHSD: Tensor,
    v_BHSD: Tensor,
    out_BHLD: Tensor,
    lse_BHL: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v through a piece; `out_BHLD` and `lse_BHL` are those of the merged softmax.

    cuDNN's backward adds in no fixed order. Where `torch.use_deterministic_algorithms` asks for one, flash
    attention's takes its place, or that in blocks.
    """
    aten = torch.ops.aten
    # torch keeps cuDNN's plans by the strides of q, k and v alone, so the others must follow from them
    grad_BHLD, q_BHLD, out_BHLD, lse_BHL = (x.contiguous() for x in (grad_BHLD, q_BHLD, out_BHLD, lse_BHL))
    if call.kernel == "cudnn" and _same_bits_wanted():
        call = _deterministic_call(q_BHLD, k_BHSD, v_BHSD)
    if call.kernel == "cudnn":
        k_BHSD, v_BHSD = (_unshared(x) for x in (k_BHSD, v_BHSD))
    tensors = (grad_BHLD, q_BHLD, k_BHSD, v_BHSD, out_BHLD)
    if call.kernel == "cudnn":
        cum_q, cum_k, max_q, max_k, seed, offset = call.state[:6]
        lse = lse_BHL.view(call.lse_shape)
        bounds = (cum_q, cum_k, max_q, max_k)
        dq, dk, dv = aten._scaled_dot_product_cudnn_attention_backward(
            *tensors, lse, seed, offset, None, *bounds, 0.0, False, scale=scale
        )
    elif call.kernel == "flash":
        cum_q, cum_k, max_q, max_k, seed, offset = call.state[:6]
        bounds = (cum_q, cum_k, max_q, max_k)
        dq, dk, dv = aten._scaled_dot_product_flash_attention_backward(
            *tensors, lse_BHL, *bounds, 0.0, False, seed, offset, scale=scale
        )
    elif call.kernel == "efficient":
        seed, offset = call.state[:2]
        lse = pad(lse_BHL, (0, call.lse_shape[2] - lse_BHL.shape[2]), value=torch.inf)
        dq, dk, dv, _ = aten._scaled_dot_product_efficient_attention_backward(
            grad_BHLD, q_BHLD, k_BHSD, v_BHSD, None, out_BHLD, lse, seed, offset, 0.0,
            [True, True, True, False], False, scale=scale,
        )  # fmt: skip
    elif call.kernel == "cpu":
        dq, dk, dv = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            *tensors, lse_BHL, 0.0, False, scale=scale
        )
    else:
        dq, dk, dv = blocked_gradients(*tensors, lse_BHL, scale)
    return dq, dk, dv


def _unshared(x: Tensor) -> Tensor:
    """Copied where entries of the batch share their numbers, which cuDNN is not asked to handle."""
    return x.contiguous() if 0 in x.stride() else x


def _same_bits_wanted() -> bool:
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled() and not warn_only


def _deterministic_call(q_BHLD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor) -> DenseCall:
    cuda = torch.backends.cuda
    with torch.enable_grad():
        q = q_BHLD.detach().requires_grad_()
        params = cuda.SDPAParams(q, k_BHSD, v_BHSD, None, 0.0, False, False)
        if not cuda.can_use_flash_attention(params):
            return DenseCall(kernel="blocked")
    unused = torch.zeros(2, dtype=torch.uint64, device=q_BHLD.device)  # the seed and offset of a dropout
    state = (None, None, q_BHLD.shape[2], k_BHSD.shape[2], unused, unused)
    return DenseCall(kernel="flash", state=state)
