"""Attention of a shot, in one softmax, to its own tokens and to memories of earlier ones, with gradients.

Gradients flow into the memories, through the selected pairs only. Routed attention is computed by the
backends of `moc_engine.ops.registry`, as in a render.

Shapes: B stories, N shots, L tokens of a shot (frame by frame), H heads, D head width, K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.ops.backend import Need, Work
from moc_engine.ops.layout import Ints
from moc_engine.ops.registry import choose_backend
from moc_engine.training.memories import Memories, chunk_by_chunk


def own_attention(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
    """Attention (B, H, L, D) of shots to their own tokens alone."""
    out = scaled_dot_product_attention(q_BHLD, k_BHLD, v_BHLD)
    if out.requires_grad:  # torch keeps cuDNN's plans without this gradient's strides, see ops.triton.dense
        out.register_hook(Tensor.contiguous)
    return out


def dense_attention(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    mask: Tensor | None = None,
    *,
    own: Tensor | None = None,
) -> Tensor:
    """Attention (B, H, L, D) of a shot's tokens to their own and, in one softmax, to memories.

    `mask` (broadcastable to B, H, L, N · L) says which memory tokens each query attends to, `own` (L, L)
    which of its own shot; None: all.
    """
    keys = torch.cat((k_BHLD, memories.keys.flatten(2, 3)), dim=2)
    values = torch.cat((v_BHLD, memories.values.flatten(2, 3)), dim=2)
    if mask is not None:
        mask = pad(mask, (k_BHLD.shape[2], 0), value=True)
    if own is not None:
        attended = pad(own, (0, memories.tokens), value=True)
        mask = attended if mask is None else mask & attended
    return scaled_dot_product_attention(q_BHLD, keys, values, attn_mask=mask)


def scored_attention(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    scores_BHLT: Tensor,
    *,
    slots: int,
    chunking: str,
    own: Tensor | None = None,
) -> Tensor:
    """As `dense_attention`, with `scores_BHLT` added to those of the memories' tokens, in chunk order.

    `own` is broadcastable to (B, H, L, L).
    """
    past_k, past_v = (
        chunk_by_chunk(x, slots=slots, chunking=chunking) for x in (memories.keys, memories.values)
    )
    scores = pad(scores_BHLT, (k_BHLD.shape[2], 0)).expand(*q_BHLD.shape[:3], -1)
    if own is not None:
        scores = scores.masked_fill(~pad(own, (0, memories.tokens), value=True), -torch.inf)
    keys, values = torch.cat((k_BHLD, past_k), dim=2), torch.cat((v_BHLD, past_v), dim=2)
    return scaled_dot_product_attention(q_BHLD, keys, values, attn_mask=scores.to(q_BHLD.dtype))


def routed_attention(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    chosen_BHLK: Tensor,
    *,
    slots: int,
    routing: RoutingConfig,
) -> Tensor:
    """Attention (B, H, L, D) of a shot's tokens to all of their own and to the chosen chunks of memories.

    `chosen_BHLK` are chunk numbers, -1 for none. The memories may have fewer entries than the shots, each
    shared by as many that follow each other. The backend is the one that a render with the same needs would
    get from the registry.
    """
    past_k, past_v = memories.by_chunk(slots=slots, chunking=routing.chunking)
    shots, chunks = memories.descriptors.shape[2:4]
    offsets = np.arange(shots * chunks + 1) * (memories.tokens // (shots * chunks))
    return attend_history(q_BHLD, k_BHLD, v_BHLD, past_k, past_v, offsets, chosen_BHLK, routing=routing)


def attend_history(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    past_k_BHTD: Tensor,
    past_v_BHTD: Tensor,
    offsets: Ints,
    chosen_BHLK: Tensor,
    *,
    pinned: Sequence[int] = (),
    routing: RoutingConfig,
) -> Tensor:
    """As `routed_attention`, of a past whose tokens lie chunk by chunk, cut by `offsets`.

    `pinned` are chunks that all queries attend to.
    """
    device = q_BHLD.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else q_BHLD.dtype
    tensors = (q_BHLD, k_BHLD, v_BHLD, past_k_BHTD, past_v_BHTD)
    q, k, v, past_k, past_v = (x.to(dtype) for x in tensors)
    work = Work(
        rows=q.shape[0] * q.shape[1],
        tokens=q.shape[2],
        top_k=chosen_BHLK.shape[-1],
        head_size=q.shape[3],
        history_offsets=offsets,
    )
    backend = choose_backend(
        routing.backend,
        Need(
            form="history",
            device=device,
            dtype=dtype,
            history_device=past_k.device.type,
            gradients=torch.is_grad_enabled(),
            work=work,
        ),
    ).backend
    assert backend.over_history is not None
    if not backend.shared_history:
        past_k, past_v = (x.repeat_interleave(len(q) // len(x), dim=0) for x in (past_k, past_v))
    with torch.autocast(device, enabled=False):
        out, _ = backend.over_history(q, k, v, past_k, past_v, offsets, chosen_BHLK, pinned=pinned)
    return out


@contextmanager
def differentiable_attention(device: torch.device) -> Iterator[None]:
    """Uses unfused attention on a CPU, where the fused kernel's backward pass is several times slower."""
    if device.type != "cpu":
        yield
        return
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)
