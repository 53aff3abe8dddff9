"""Latents of Wan models: frames to latents and back, by a variational autoencoder that is causal over time.

Shapes: C channels, F latent frames, H and W latent sides, N frames, Y and X sides of frames in pixels.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import torch
from PIL import Image
from torch import Tensor

from moc_engine.models.latent_space import decoder_digest
from moc_engine.models.video_autoencoder import VideoAutoencoder
from moc_engine.models.wan.decoding import decoded_pieces, normalised

MOST_PIXELS: Final = 16_000_000
"""Pixels up to which a reference picture is prepared as it is, and as diffusers does."""

READ_AT_ONCE: Final = 4
"""Frames after the first one that diffusers' encoder reads at once; it leaves out those that are fewer."""


class WanAutoencoder(VideoAutoencoder):
    """The autoencoder of a Wan model, whose clips have `rate` frames a second."""

    def __init__(self, vae: Any, rate: float = 16.0) -> None:
        config = vae.config
        super().__init__(
            vae,
            channels=int(config.z_dim),
            over_time=int(config.scale_factor_temporal),
            over_space=int(config.scale_factor_spatial),
            rate=rate,
        )

    @property
    def latent_space(self) -> str:
        config = self.vae.config
        parts = self.vae.post_quant_conv, self.vae.decoder
        digest = decoder_digest(parts, config.latents_mean, config.latents_std)
        return f"wan-{self.channels}c{self.over_time}t{self.over_space}s-{digest}"

    def prepared_picture(self, picture: Image.Image) -> Tensor:
        """A picture (1, 3, Y, X) within -1 and 1, resized to sides that latents stand for.

        One of more than `MOST_PIXELS` is halved first: as numbers of 4 bytes it would take gigabytes.
        """
        while picture.width * picture.height > MOST_PIXELS:
            picture = picture.reduce(2)
        width, height = (max(1, side // self.over_space) * self.over_space for side in picture.size)
        prepared: Tensor = self._processor.preprocess(picture, height=height, width=width)
        return prepared

    @torch.no_grad()
    def encoded(self, video_13NYX: Tensor) -> Tensor:
        frames = 1 + (video_13NYX.shape[2] - 1) // self.over_time
        whole_13NYX = _filled(video_13NYX) if self.over_time < READ_AT_ONCE else video_13NYX
        posterior = self.vae.encode(whole_13NYX.to(self.vae.device, self.vae.dtype)).latent_dist
        latents: Tensor = posterior.mode().float()[:, :, :frames]
        return normalised(self.vae, latents)

    def pieces(self, latents_CFHW: Tensor) -> Generator[Tensor]:
        return decoded_pieces(self.vae, latents_CFHW)


def _filled(video_13NYX: Tensor) -> Tensor:
    """A clip with its last frame repeated, so that all of it is read; earlier latents do not depend on later
    frames."""
    missing = -(video_13NYX.shape[2] - 1) % READ_AT_ONCE
    return torch.cat((video_13NYX, *[video_13NYX[:, :, -1:]] * missing), dim=2)
