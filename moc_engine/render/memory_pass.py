"""The memory of a finished take: one pass of the transformer over the take alone.

Shapes: B batch, H heads, L tokens of the take, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import Chunking, Pooling, Storage
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.scaling import quantise, scale_groups
from moc_engine.memory.take_memory import Kept, Scales, TakeMemory
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates, ExtraTokens
from moc_engine.models.dense_attention import NATIVE, attend_densely
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
    kept: Kept | None = None,
    storage: Storage = "full",
    device: torch.device | None = None,
) -> TakeMemory:
    """The memory of a finished take, which depends on these arguments alone.

    `noise` is the noise level (0–1) at which the take is read; the noise is drawn from a seed that is a hash
    of the latents. Only the tokens of `kept` (None: all) are remembered, on `device` (None: the model's).
    """
    clean = latents_CFHW.float()
    if noise > 0:
        clean = torch.lerp(clean, draw_noise(clean.shape, _seed_of(clean)), noise)
    grid = backbone.grid(clean.shape, chunking)
    attention = MemoryPass(
        grid,
        backbone.angles,
        pooling,
        backbone.device,
        layers=backbone.adapter.layers,
        kept=kept,
        storage=storage,
        memory_device=device,
        dense_backend=backbone.adapter.dense_backend,
    )
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
    """Full self-attention within one take that keeps keys, values and chunk means of each of its `layers`.

    What is kept of a layer is written where it stays, as soon as it is computed: on `memory_device`, in full
    or in 8 bits. It is attended to by a `dense_backend` of diffusers.
    """

    def __init__(
        self,
        grid: TokenGrid,
        angles: Angles,
        pooling: Pooling,
        device: torch.device,
        *,
        layers: int,
        kept: Kept | None = None,
        storage: Storage = "full",
        memory_device: torch.device | None = None,
        dense_backend: str = NATIVE,
    ) -> None:
        self._dense_backend = dense_backend
        self._grid = grid
        self._pooling = pooling
        self._cos, self._sin = angles(grid.positions_3T.to(device))
        self._tokens = None if kept is None else torch.from_numpy(kept.tokens).to(device)
        cuts = (grid.extent if kept is None else kept.extent).offsets
        chunks = len(cuts) - 1
        self._layout = ChunkLayout(cuts, np.zeros(chunks, np.int64), np.full(chunks, VIDEO))
        self._layers = layers
        self._groups = scale_groups(cuts) if storage == "int8" else None
        self._device = device if memory_device is None else memory_device
        self._read = 0
        self._kept: TakeMemory | None = None

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q, k, v = self._kept_layer(layer, q_BHLD, k_BHLD, v_BHLD)
        return self._grid.to_model(self._attended(q, k, v), dim=2)

    def attend_jointly(
        self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor, extra: ExtraTokens
    ) -> tuple[Tensor, Tensor]:
        q, k, v = self._kept_layer(layer, q_BHLD, k_BHLD, v_BHLD)
        q, k, v = (
            torch.cat(both, dim=2) for both in ((q, extra.q_BHSD), (k, extra.k_BHSD), (v, extra.v_BHSD))
        )
        out, of_extra = self._attended(q, k, v).tensor_split([q_BHLD.shape[2]], dim=2)
        return self._grid.to_model(out, dim=2), of_extra

    def _attended(self, q_BHLD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor) -> Tensor:
        return attend_densely(q_BHLD, k_BHSD, v_BHSD, backend=self._dense_backend)

    def _kept_layer(self, layer: int, *qkv_BHLD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keeps what is remembered of a layer; its rotated queries and keys, and values, by chunks."""
        assert layer == self._read < self._layers, "one pass reads one take"
        self._read += 1
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in qkv_BHLD)
        rotated = apply_rotary(k, self._cos, self._sin)
        self._keep(layer, k, v, k if self._pooling == "before" else rotated)
        return apply_rotary(q, self._cos, self._sin), rotated, v

    def memory(self) -> TakeMemory:
        """The memory, once the transformer has run."""
        assert self._kept is not None
        assert self._read == self._layers, "the transformer has run"
        return self._kept

    def _keep(self, layer: int, k_BHLD: Tensor, v_BHLD: Tensor, routed_BHLD: Tensor) -> None:
        if self._tokens is not None:
            k_BHLD, v_BHLD, routed_BHLD = (
                x.index_select(2, self._tokens) for x in (k_BHLD, v_BHLD, routed_BHLD)
            )
        kept = self._kept = self._kept or self._empty(k_BHLD)
        kept.means_NHCD[layer] = chunk_means(routed_BHLD, self._layout)[0]
        if kept.scales is None:
            kept.k_NHTD[layer], kept.v_NHTD[layer] = k_BHLD[0], v_BHLD[0]
            return
        kept.k_NHTD[layer], kept.scales.k_NHGD[layer] = quantise(k_BHLD[0], kept.scales.offsets)
        kept.v_NHTD[layer], kept.scales.v_NHGD[layer] = quantise(v_BHLD[0], kept.scales.offsets)

    def _empty(self, k_BHLD: Tensor) -> TakeMemory:
        """A memory of all layers, to be filled; page-locked where it lies in main memory beside a GPU."""
        H, D = k_BHLD.shape[1], k_BHLD.shape[3]
        page_locked = self._device.type == "cpu" and k_BHLD.device.type == "cuda"

        def empty(length: int, dtype: torch.dtype) -> Tensor:
            shape = (self._layers, H, length, D)
            return torch.empty(shape, dtype=dtype, device=self._device, pin_memory=page_locked)

        tokens, positions = self._layout.tokens, self._grid.positions_3T
        scales = None
        if self._groups is not None:
            factors = (empty(len(self._groups) - 1, torch.float32) for _ in range(2))
            scales = Scales(
                k_NHGD=next(factors), v_NHGD=next(factors), offsets=self._groups, dtype=k_BHLD.dtype
            )
        dtype = k_BHLD.dtype if scales is None else torch.int8
        if self._tokens is not None:
            positions = positions.index_select(1, self._tokens.cpu())
        return TakeMemory(
            k_NHTD=empty(tokens, dtype),
            v_NHTD=empty(tokens, dtype),
            means_NHCD=empty(self._layout.chunks, torch.float32),
            positions_3T=positions,
            scales=scales,
        )
