"""Latents of HunyuanVideo: frames to latents and back, by its variational autoencoder.

Shapes: C channels, F latent frames, H and W latent sides, N frames, Y and X sides of frames in pixels.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from moc_engine.models.hunyuan.frame_attention import attend_frame_by_frame
from moc_engine.models.hunyuan.overlapping_pieces import decoded_pieces
from moc_engine.models.hunyuan.published_settings import RATE
from moc_engine.models.latent_space import decoder_digest
from moc_engine.models.video_autoencoder import VideoAutoencoder


class HunyuanAutoencoder(VideoAutoencoder):
    """The autoencoder of HunyuanVideo, whose latents have one scale for all channels.

    It attends frame by frame from now on, which needs far less memory.
    """

    def __init__(self, vae: Any) -> None:
        config = vae.config
        super().__init__(
            vae,
            channels=int(config.latent_channels),
            over_time=int(config.temporal_compression_ratio),
            over_space=int(config.spatial_compression_ratio),
            rate=RATE,
        )
        attend_frame_by_frame(vae)

    @property
    def latent_space(self) -> str:
        parts = self.vae.post_quant_conv, self.vae.decoder
        digest = decoder_digest(parts, self.vae.config.scaling_factor)
        return f"hunyuan-{self.channels}c{self.over_time}t{self.over_space}s-{digest}"

    @torch.no_grad()
    def encoded(self, video_13NYX: Tensor) -> Tensor:
        """As `VideoAutoencoder`; long clips are encoded in overlapping pieces, blended."""
        posterior = self.vae.encode(video_13NYX.to(self.vae.device, self.vae.dtype)).latent_dist
        latents: Tensor = posterior.mode().float() * self.vae.config.scaling_factor
        return latents

    def pieces(self, latents_CFHW: Tensor) -> Generator[Tensor]:
        return decoded_pieces(self.vae, latents_CFHW)
