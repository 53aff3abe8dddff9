"""Attention to all keys, by the attention backend of diffusers that a model is set to.

Shapes: B batch, H heads, L queries, S keys, D head width.
"""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

NATIVE: Final = "native"
"""The attention backend of diffusers that is torch's own."""


def dense_backend(processor: Any) -> str:
    """The attention backend of diffusers that a processor is set to, by `set_attention_backend` or by the
    environment (DIFFUSERS_ATTN_BACKEND).
    """
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry  # which not all need

    name = getattr(processor, "_attention_backend", None) or _AttentionBackendRegistry.get_active_backend()[0]
    return str(getattr(name, "value", name))


def attend_densely(
    q_BHLD: Tensor,
    k_BHSD: Tensor,
    v_BHSD: Tensor,
    mask: Tensor | None = None,
    backend: str = NATIVE,
) -> Tensor:
    """The output (B, H, L, D) of queries that attend to all keys, or to those of a boolean mask."""
    if backend == NATIVE:
        return scaled_dot_product_attention(q_BHLD, k_BHSD, v_BHSD, attn_mask=mask)
    from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn

    q, k, v = (x.transpose(1, 2) for x in (q_BHLD, k_BHSD, v_BHSD))
    out: Tensor = dispatch_attention_fn(q, k, v, attn_mask=mask, backend=AttentionBackendName(backend))
    return out.transpose(1, 2)
