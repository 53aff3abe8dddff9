"""A loaded model: a Wan-type transformer, its scheduler, and the family that knows its latents.

Shapes: B batch, C channels, F latent frames, H and W latent sides; latents of one shot are (C, F, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from moc_engine.config import Chunking
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.base import AttentionPass, CaptionStates, Family
from moc_engine.models.compiled_blocks import CompiledBlocks
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.wan_transformer import attending, rotary_angles


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A loaded model; `name` is written into traces. `velocity` runs compiled blocks where there are any."""

    name: str
    transformer: Any
    scheduler: Any
    family: Family
    device: torch.device
    compiled: CompiledBlocks | None = None
    loras: LoraAdapters | None = None

    @cached_property
    def parameters(self) -> int:
        """The number of parameters of the transformer."""
        return sum(weight.numel() for weight in self.transformer.parameters())

    @cached_property
    def dtype(self) -> torch.dtype:
        """The dtype of the transformer's weights, but for those that stay in float32."""
        dtype: torch.dtype = self.transformer.dtype
        return dtype

    def caption_key_bytes(self, captions: CaptionStates) -> int:
        """The bytes of the captions' keys and values in all layers."""
        config = self.transformer.config
        width = config.num_attention_heads * config.attention_head_dim
        states = captions.states_BSE.shape[:2].numel()
        return int(2 * config.num_layers * states * width * self.dtype.itemsize)

    def grid(self, latent_shape: Sequence[int], chunking: Chunking) -> TokenGrid:
        """The tokens of a shot with latents (C, F, H, W)."""
        sides = zip(latent_shape[1:], self.transformer.config.patch_size, strict=True)
        frames, height, width = (side // patch for side, patch in sides)
        return TokenGrid(frames=frames, height=height, width=width, chunking=chunking)

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary cosines and sines of token positions (3, …) in time, height and width."""
        return rotary_angles(self.transformer, *positions)

    def predict(
        self, latents_BCFHW: Tensor, timesteps_B: Tensor, attention: AttentionPass, captions: CaptionStates
    ) -> Tensor:
        """The transformer's output in one pass, in the dtype of the latents."""
        with attending(self.transformer, attention, captions):
            return self._run(latents_BCFHW, timesteps_B, captions)

    def velocity(
        self, latents_BCFHW: Tensor, timesteps_B: Tensor, attention: AttentionPass, captions: CaptionStates
    ) -> Tensor:
        """The flow ε - x0 at noisy latents."""
        if self.compiled is None:
            predicted = self.predict(latents_BCFHW, timesteps_B, attention, captions)
        else:
            with self.compiled.used(), attending(self.transformer, attention, captions, compiled=True):
                predicted = self._run(latents_BCFHW, timesteps_B, captions)
        level = timesteps_B / self.scheduler.config.num_train_timesteps
        return self.family.velocity(predicted, latents_BCFHW, level.view(-1, 1, 1, 1, 1))

    def _run(self, latents_BCFHW: Tensor, timesteps_B: Tensor, captions: CaptionStates) -> Tensor:
        predicted: Tensor = self.transformer(
            self.family.model_input(latents_BCFHW).to(self.dtype),
            timesteps_B,
            captions.states_BSE.to(self.dtype),
            return_dict=False,
        )[0]
        return predicted.to(latents_BCFHW.dtype)
