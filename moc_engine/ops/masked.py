"""Attention for small shots whose gradients are wanted: one masked softmax over own and history keys.

It does more products than the other backends, but in few matrix products whatever the number of chunks.
Scores of all queries and keys are held at once, in the dtype of the inputs, so shots and histories must be
small; `choice.fits` says which are. The attended mass is not told.

Shapes: B batch, of which n entries each share one of the G histories; H heads, L queries, S own keys,
T history keys, C chunks, K routed chunks per query, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from moc_engine.ops.backend import AttentionBackend, Mass
from moc_engine.ops.layout import Ints
from moc_engine.ops.rotary import Rotary


def masked_attention(
    q_BHLD: Tensor,
    own_k_BHSD: Tensor,
    own_v_BHSD: Tensor,
    history_k_BHTD: Tensor,
    history_v_BHTD: Tensor,
    history_offsets: Ints,
    indices_BHLK: Tensor,
    *,
    pinned: Sequence[int] = (),
    rotary: Rotary | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Mass]:
    """As `grouped_attention`, but the mass, whose tensors are empty; all tensors must be on one device."""
    B, H, L, D = q_BHLD.shape
    n = B // len(history_k_BHTD)
    if rotary is not None:
        history_k_BHTD = rotary(history_k_BHTD, torch.arange(history_k_BHTD.shape[2], device=q_BHLD.device))
    penalty = _penalty(indices_BHLK, pinned, history_offsets, q_BHLD.dtype)
    scale = 1 / math.sqrt(D) if scale is None else scale
    tensors = q_BHLD, own_k_BHSD, own_v_BHSD, history_k_BHTD, history_v_BHTD
    out: Tensor = _Masked.apply(*tensors, _side_by_side(penalty, n), scale)  # type: ignore[no-untyped-call]
    none = out.new_empty(B, H, L, 0)
    return out, Mass(own=none, pinned=none, routed=none)


class _Masked(torch.autograd.Function):
    """softmax(q · kᵀ · scale + penalty) · v over own keys, which have no penalty, and those of the history.

    The queries of entries that share a history are handled side by side, as n · L queries of one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        own_k: Tensor,
        own_v: Tensor,
        k_GHTD: Tensor,
        v_GHTD: Tensor,
        penalty: Tensor,
        scale: float,
    ) -> Tensor:
        n = len(q) // len(k_GHTD)
        q = q * scale
        queries = _side_by_side(q, n)
        never = (penalty == -torch.inf).all(dim=2)[..., None]  # may hold anything, even what is no number
        k_GHTD, v_GHTD = k_GHTD.masked_fill(never, 0), v_GHTD.masked_fill(never, 0)
        own = _side_by_side(q @ own_k.transpose(2, 3), n)
        past = torch.matmul(queries, k_GHTD.transpose(2, 3)).add_(penalty)
        weights = torch.cat((own, past), dim=-1).softmax(dim=-1)
        ctx.save_for_backward(q, own_k, own_v, k_GHTD, v_GHTD, weights)
        ctx.scale, ctx.n = scale, n
        own, past = weights.split([own.shape[-1], past.shape[-1]], dim=-1)
        return _apart(own, n) @ own_v + _apart(past @ v_GHTD, n)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, own_k, own_v, k_GHTD, v_GHTD, weights = ctx.saved_tensors
        n, grad = ctx.n, grads[0]
        S = own_k.shape[2]
        queries, grad_beside = _side_by_side(q, n), _side_by_side(grad, n)
        own, past = weights[..., :S], weights[..., S:]
        dweights = torch.cat(
            (_side_by_side(grad @ own_v.transpose(2, 3), n), grad_beside @ v_GHTD.transpose(2, 3)), dim=-1
        )
        dscores = torch._softmax_backward_data(dweights, weights, -1, weights.dtype)
        down, dpast = _apart(dscores[..., :S], n), dscores[..., S:]
        dq = (down @ own_k).add_(_apart(dpast @ k_GHTD, n)).mul_(ctx.scale)
        return (
            dq,
            down.transpose(2, 3) @ q,
            _apart(own, n).transpose(2, 3) @ grad,
            dpast.transpose(2, 3) @ queries,
            past.transpose(2, 3) @ grad_beside,
            None,
            None,
        )


def _side_by_side(x_BHLX: Tensor, n: int) -> Tensor:
    """The queries of each n entries as those of one: (B / n, H, n · L, X)."""
    return x_BHLX if n == 1 else x_BHLX.unflatten(0, (-1, n)).transpose(1, 2).flatten(2, 3)


def _apart(x_GHLX: Tensor, n: int) -> Tensor:
    """The inverse of `_side_by_side`."""
    return x_GHLX if n == 1 else x_GHLX.unflatten(2, (n, -1)).transpose(1, 2).flatten(0, 1)


def _penalty(indices_BHLK: Tensor, pinned: Sequence[int], offsets: Ints, dtype: torch.dtype) -> Tensor:
    """0 for each history token (B, H, L, T) that a query attends to, else -∞."""
    chunks = len(offsets) - 1
    shape = (*indices_BHLK.shape[:3], chunks + 1)
    by_chunk = torch.full(shape, -torch.inf, dtype=dtype, device=indices_BHLK.device)
    by_chunk.scatter_(-1, indices_BHLK.where(indices_BHLK >= 0, chunks), 0)
    by_chunk[..., list(pinned)] = 0
    lengths = np.diff(offsets)
    if lengths.size and (lengths == lengths[0]).all():
        return by_chunk[..., :-1].repeat_interleave(int(lengths[0]), dim=-1)
    return by_chunk[..., :-1].repeat_interleave(torch.tensor(lengths, device=by_chunk.device), dim=-1)


MASKED = AttentionBackend(
    name="masked",
    over_history=masked_attention,
    mass=False,
    several_shots=False,
    needs_history=True,
    shared_history=True,
)
