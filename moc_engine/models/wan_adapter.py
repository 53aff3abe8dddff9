"""Drives the transformers of Wan and of the embedded model: captions are attended to by cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from moc_engine.models.base import AttentionPass, CaptionStates, ShotCondition
from moc_engine.models.dense_attention import dense_backend
from moc_engine.models.wan_transformer import attending, rotary_angles


class WanAdapter:
    """A `WanTransformer3DModel`; its output has the dtype of its weights."""

    batches_captions = True

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    @property
    def layers(self) -> int:
        return int(self.transformer.config.num_layers)

    @property
    def heads(self) -> int:
        return int(self.transformer.config.num_attention_heads)

    @property
    def patch(self) -> tuple[int, int, int]:
        frames, height, width = self.transformer.config.patch_size
        return frames, height, width

    @property
    def blocks(self) -> Sequence[Any]:
        return list(self.transformer.blocks)

    @property
    def caption_backend(self) -> str:
        return dense_backend(self.transformer.blocks[0].attn2.processor)

    @property
    def dense_backend(self) -> str:
        return dense_backend(self.transformer.blocks[0].attn1.processor)

    def caption_key_bytes(self, captions: CaptionStates) -> int:
        width = self.heads * int(self.transformer.config.attention_head_dim)
        states = captions.states_BSE.shape[:2].numel()
        return int(2 * self.layers * states * width * self.transformer.dtype.itemsize)

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        return rotary_angles(self.transformer, *positions)

    def attending(
        self,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition,
        *,
        compiled: bool = False,
    ) -> AbstractContextManager[None]:
        return attending(self.transformer, attention, captions, compiled=compiled)

    def run(
        self,
        inputs_BCFHW: Tensor,
        timesteps_B: Tensor,
        captions: CaptionStates,
        condition: ShotCondition,
    ) -> Tensor:
        inputs, dtype = inputs_BCFHW, self.transformer.dtype
        if condition.channels_BCFHW is not None:
            channels = condition.channels_BCFHW.to(inputs.dtype).expand(len(inputs), -1, -1, -1, -1)
            inputs = torch.cat((inputs, channels), dim=1)
        image: dict[str, Tensor] = {}
        if condition.states_BIE is not None:
            states = condition.states_BIE.to(dtype).expand(len(inputs), -1, -1)
            image = {"encoder_hidden_states_image": states}
        timesteps = timesteps_B
        if condition.first_BCFHW is not None:
            timesteps = self._clean_at_first(timesteps_B, inputs.shape[2:], condition.first_BCFHW.shape[2])
        predicted: Tensor = self.transformer(
            inputs.to(dtype), timesteps, captions.states_BSE.to(dtype), return_dict=False, **image
        )[0]
        return predicted

    def _clean_at_first(self, timesteps_B: Tensor, sides: Sequence[int], frames: int) -> Tensor:
        """A timestep for each token (B, L): 0 for those of the first latent frames."""
        over_time, height, width = (side // patch for side, patch in zip(sides, self.patch, strict=True))
        clean = frames // self.patch[0] * height * width
        noisy = timesteps_B[:, None].float().expand(-1, over_time * height * width - clean)
        return torch.cat((noisy.new_zeros(len(timesteps_B), clean), noisy), dim=1)
