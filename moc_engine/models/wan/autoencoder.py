"""Latents of Wan models: frames to latents and back, by a variational autoencoder that is causal over time.

Shapes: C channels, F latent frames, H and W latent sides, N frames, Y and X sides of frames in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.models.latent_space import decoder_digest
from moc_engine.models.wan.decoding import decoded_pieces, normalised


class WanAutoencoder:
    """The autoencoder of a Wan model, and the size of what it compresses."""

    def __init__(self, vae: Any) -> None:
        self.vae = vae.eval()
        config = vae.config
        self.channels = int(config.z_dim)
        self.over_time = int(config.scale_factor_temporal)
        self.over_space = int(config.scale_factor_spatial)
        self._processor = VideoProcessor(vae_scale_factor=self.over_space)

    def frames_of(self, latent_frames: int) -> int:
        """How many frames so many latent ones stand for: the first one for a single frame."""
        return 1 + (latent_frames - 1) * self.over_time

    def pixels(self, shape: Sequence[int]) -> tuple[int, int]:
        """The size (width, height) of the frames of latents (C, F, H, W)."""
        return shape[3] * self.over_space, shape[2] * self.over_space

    def prepared(self, frames: Sequence[Frame], size: tuple[int, int]) -> Tensor:
        """Frames as (1, 3, N, Y, X) within -1 and 1: the middle of each, in the shape of `size`, resized."""
        pictures = [cropped(Image.fromarray(frame), size) for frame in frames]
        prepared: Tensor = self._processor.preprocess_video(pictures, height=size[1], width=size[0])
        return prepared

    def prepared_picture(self, picture: Image.Image) -> Tensor:
        """A picture (1, 3, Y, X) within -1 and 1, resized to sides that latents stand for."""
        width, height = (max(1, side // self.over_space) * self.over_space for side in picture.size)
        prepared: Tensor = self._processor.preprocess(picture, height=height, width=width)
        return prepared

    @torch.no_grad()
    def encoded(self, video_13NYX: Tensor) -> Tensor:
        """The latents (1, C, F, H, W), in float32 on the autoencoder's device."""
        posterior = self.vae.encode(video_13NYX.to(self.vae.device, self.vae.dtype)).latent_dist
        latents: Tensor = posterior.mode().float()
        return normalised(self.vae, latents)

    def decoded(self, latents_CFHW: Tensor) -> Tensor:
        """Frames (3, N, Y, X) within -1 and 1."""
        return torch.cat(list(decoded_pieces(self.vae, latents_CFHW)), dim=1)


def latent_space(vae: Any) -> str:
    """Names the latents of an autoencoder: by its channels and scale, and a digest of what decodes them."""
    config = vae.config
    digest = decoder_digest((vae.post_quant_conv, vae.decoder), config.latents_mean, config.latents_std)
    return f"wan-{config.z_dim}c{config.scale_factor_temporal}t{config.scale_factor_spatial}s-{digest}"


def cropped(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture with the aspect of `size`: the largest that there is."""
    width, height = picture.size
    across = min(width, round(height * size[0] / size[1]))
    down = min(height, round(width * size[1] / size[0]))
    left, top = (width - across) // 2, (height - down) // 2
    return picture.crop((left, top, left + across, top + down))
