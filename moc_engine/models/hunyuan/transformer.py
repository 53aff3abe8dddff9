"""Drives HunyuanVideo's transformers, whose sequence holds a shot's captions behind its video tokens.

Double-stream blocks project video and captions by weights of their own, single-stream blocks by the same
ones; both attend to the two side by side.

Shapes: B batch, H heads, L video tokens, S caption tokens, D head width, E width of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from moc_engine.models.base import (
    AttentionPass,
    CaptionStates,
    ExtraTokens,
    JointAttentionPass,
    ShotCondition,
)
from moc_engine.models.compiled_blocks import left_out_of_graphs
from moc_engine.models.dense_attention import dense_backend
from moc_engine.ops.rotary import axis_angles

GUIDANCE: Final = 6.0
"""The strength of guidance that models distilled from guided ones are told; diffusers' default."""

GUIDANCE_SCALE: Final = 1000.0
"""The strength is embedded as a timestep is."""


class HunyuanAdapter:
    """A `HunyuanVideoTransformer3DModel`; its output has the dtype of its weights."""

    batches_captions = False
    caption_backend = "within self-attention"

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    @property
    def dense_backend(self) -> str:
        return dense_backend(self.blocks[0].attn.processor)

    @property
    def layers(self) -> int:
        return len(self.blocks)

    @property
    def heads(self) -> int:
        return int(self.transformer.config.num_attention_heads)

    @property
    def patch(self) -> tuple[int, int, int]:
        config = self.transformer.config
        return int(config.patch_size_t), int(config.patch_size), int(config.patch_size)

    @property
    def blocks(self) -> Sequence[Any]:
        return [*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks]

    def caption_key_bytes(self, captions: CaptionStates) -> int:
        """None are kept: the captions change from layer to layer."""
        return 0

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        config = self.transformer.config
        return axis_angles(tuple(positions), config.rope_axes_dim, float(config.rope_theta))

    @contextmanager
    def attending(
        self,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition,
        *,
        compiled: bool = False,
    ) -> Iterator[None]:
        assert isinstance(attention, JointAttentionPass), "the pass attends to captions as well"
        layers = [block.attn for block in self.blocks]
        own = [attn.processor for attn in layers]
        try:
            for layer, attn in enumerate(layers):
                attn.set_processor(JointAttention(attention, layer, compiled=compiled))
            yield
        finally:
            for attn, processor in zip(layers, own, strict=True):
                attn.set_processor(processor)

    def run(
        self,
        inputs_BCFHW: Tensor,
        timesteps_B: Tensor,
        captions: CaptionStates,
        condition: ShotCondition,
    ) -> Tensor:
        assert captions.mask_BS is None, "every state counts"
        assert captions.pooled_BE is not None
        dtype, states = self.transformer.dtype, captions.states_BSE
        rows = len(inputs_BCFHW)
        guidance: Tensor | None = None
        if self.transformer.config.guidance_embeds:
            guidance = torch.full((rows,), GUIDANCE, dtype=dtype, device=states.device) * GUIDANCE_SCALE
        predicted: Tensor = self.transformer(
            hidden_states=inputs_BCFHW.to(dtype),
            timestep=timesteps_B,
            encoder_hidden_states=states.to(dtype),
            encoder_attention_mask=torch.ones(states.shape[:2], dtype=dtype, device=states.device),
            pooled_projections=captions.pooled_BE.to(dtype),
            guidance=guidance,
            return_dict=False,
        )[0]
        return predicted


class JointAttention:
    """Processor of one block's attention: projects, and leaves the attention itself to the pass."""

    def __init__(self, attention: JointAttentionPass, layer: int, *, compiled: bool = False) -> None:
        self._pass = attention
        self._layer = layer
        self._attend = left_out_of_graphs(_attend) if compiled else _attend

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        q, k, v = project_video(attn, hidden_states)
        captions = project_captions(attn, encoder_hidden_states)
        video, told = (
            out.transpose(1, 2).flatten(2).type_as(q) for out in self._attend(self, q, k, v, captions)
        )
        if attn.to_out is not None:
            for layer in attn.to_out:
                video = layer(video)
        if getattr(attn, "to_add_out", None) is not None:
            told = attn.to_add_out(told)
        return video, told


def _attend(
    processor: JointAttention, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor, captions: ExtraTokens
) -> tuple[Tensor, Tensor]:
    return processor._pass.attend_jointly(processor._layer, q_BHLD, k_BHLD, v_BHLD, captions)


def project_video(attn: Any, hidden_BLE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, H, L, D) of video tokens, normalised, not rotated."""
    q, k, v = (_heads(layer(hidden_BLE), attn.heads) for layer in (attn.to_q, attn.to_k, attn.to_v))
    return attn.norm_q(q), attn.norm_k(k), v


def project_captions(attn: Any, states_BSE: Tensor) -> ExtraTokens:
    """The same of caption tokens: in single-stream blocks by the weights of video tokens."""
    if attn.add_q_proj is None:
        q, k, v = project_video(attn, states_BSE)
        return ExtraTokens(q_BHSD=q, k_BHSD=k, v_BHSD=v)
    layers = (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    q, k, v = (_heads(layer(states_BSE), attn.heads) for layer in layers)
    return ExtraTokens(q_BHSD=attn.norm_added_q(q), k_BHSD=attn.norm_added_k(k), v_BHSD=v)


def _heads(x_BLE: Tensor, heads: int) -> Tensor:
    return x_BLE.view(*x_BLE.shape[:2], heads, -1).transpose(1, 2)
