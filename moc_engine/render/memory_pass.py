"""The memory of a finished take: one pass of the transformer over the take alone.

Shapes: B batch, H heads, L tokens of the take, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import Chunking, Pooling
from moc_engine.memory.context import TakeMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.ops.layout import VIDEO, ChunkLayout
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routing import chunk_means
from moc_engine.render.denoise import draw_noise


@torch.no_grad()
def compute_memory(
    backbone: Backbone,
    latents_CFHW: Tensor,
    captions: CaptionStates,
    *,
    chunking: Chunking,
    pooling: Pooling,
    noise: float,
) -> TakeMemory:
    """The memory of a finished take, which depends on these arguments alone.

    `noise` is the noise level (0–1) at which the take is read; the noise is drawn from a seed that is a hash
    of the latents.
    """
    clean = latents_CFHW.float()
    if noise > 0:
        clean = torch.lerp(clean, draw_noise(clean.shape, _seed_of(clean)), noise)
    grid = backbone.grid(clean.shape, chunking)
    attention = MemoryPass(grid, backbone.angles, pooling, backbone.device)
    timestep = torch.tensor([noise * backbone.scheduler.config.num_train_timesteps], device=backbone.device)
    condition = backbone.condition_of(latents_CFHW.float())
    backbone.predict(clean[None].to(backbone.device), timestep, attention, captions, condition)
    return attention.memory()


def _seed_of(latents: Tensor) -> int:
    digest = sha256(latents.contiguous().cpu().numpy().tobytes()).digest()
    return int.from_bytes(digest[:7], "big")


Angles = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Positions (3, …) to rotary cosines and sines (…, D / 2)."""


class MemoryPass:
    """Full self-attention within one take that keeps keys, values and chunk means of each layer."""

    def __init__(self, grid: TokenGrid, angles: Angles, pooling: Pooling, device: torch.device) -> None:
        self._grid = grid
        self._pooling = pooling
        self._cos, self._sin = angles(grid.positions_3T.to(device))
        cuts = grid.extent.offsets
        chunks = grid.extent.chunks
        self._layout = ChunkLayout(cuts, np.zeros(chunks, np.int64), np.full(chunks, VIDEO))
        self._layers: list[tuple[Tensor, Tensor, Tensor]] = []

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        assert layer == len(self._layers), "one pass reads one take"
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD))
        rotated = apply_rotary(k, self._cos, self._sin)
        means = chunk_means(k if self._pooling == "before" else rotated, self._layout)
        self._layers.append((k[0], v[0], means[0]))
        out = scaled_dot_product_attention(apply_rotary(q, self._cos, self._sin), rotated, v)
        return self._grid.to_model(out, dim=2)

    def memory(self) -> TakeMemory:
        """The memory, once the transformer has run."""
        k, v, means = (torch.stack(parts) for parts in zip(*self._layers, strict=True))
        return TakeMemory(k_NHTD=k, v_NHTD=v, means_NHCD=means, positions_3T=self._grid.positions_3T)
