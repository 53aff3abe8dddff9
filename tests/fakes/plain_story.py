"""Attention of a whole story at once under a mask, written without the engine's passes."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.models.wan_transformer import project_qkv
from moc_engine.ops.rotary import apply_rotary


class PlainStory:
    """A processor: self-attention under the mask `shots` (L, L), captions under `captions` (L, S), and image
    states, which stand before the captions', under `images` (L, I) by a softmax of their own.
    """

    def __init__(self, *, shots: Tensor, captions: Tensor, images: Tensor | None = None) -> None:
        self.shots, self.captions, self.images = shots, captions, images

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        image = None
        if encoder_hidden_states is not None and self.images is not None:
            image, encoder_hidden_states = encoder_hidden_states.split(
                [self.images.shape[1], self.captions.shape[1]], dim=1
            )
        q, k, v = project_qkv(attn, hidden_states, encoder_hidden_states)
        if rotary_emb is not None:
            cos, sin = (table[0, :, 0, ::2] for table in rotary_emb)
            q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
        mask = self.shots if encoder_hidden_states is None else self.captions
        out = scaled_dot_product_attention(q, k, v, attn_mask=mask)
        if image is not None:
            k, v = attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image)
            k, v = (x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (k, v))
            out = out + scaled_dot_product_attention(q, k, v, attn_mask=self.images)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
