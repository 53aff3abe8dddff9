"""Latents of HunyuanVideo to frames, by its variational autoencoder.

Shapes: C channels, F latent frames, H and W latent sides, N frames, Y and X sides of frames in pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moc_engine.models.latent_space import decoder_digest


class HunyuanAutoencoder:
    """The autoencoder, and the size of what it compresses."""

    def __init__(self, vae: Any) -> None:
        self.vae = vae
        config = vae.config
        self.channels = int(config.latent_channels)
        self.over_time = int(config.temporal_compression_ratio)
        self.over_space = int(config.spatial_compression_ratio)

    def frames_of(self, latent_frames: int) -> int:
        """How many frames so many latent ones stand for: the first one for a single frame."""
        return 1 + (latent_frames - 1) * self.over_time

    @torch.no_grad()
    def decoded(self, latents_CFHW: Tensor) -> Tensor:
        """Frames (3, N, Y, X) within -1 and 1, in main memory: long clips piece by piece, blended."""
        latents = latents_CFHW[None].to(self.vae.device, self.vae.dtype) / self.vae.config.scaling_factor
        pixels: Tensor = self.vae.decode(latents, return_dict=False)[0][0]
        return pixels.clamp(-1.0, 1.0).cpu()


def latent_space(vae: Any) -> str:
    """Names the latents of an autoencoder: by its channels and scale, and a digest of what decodes them."""
    codec = HunyuanAutoencoder(vae)
    digest = decoder_digest((vae.post_quant_conv, vae.decoder), vae.config.scaling_factor)
    return f"hunyuan-{codec.channels}c{codec.over_time}t{codec.over_space}s-{digest}"
