"""Tiny autoencoders of Wan with random weights, in the two forms that are published."""

from __future__ import annotations

from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan

KINDS: Final = ("Wan 2.1", "Wan 2.2")


def tiny_autoencoder(kind: str, *, seed: int = 0) -> Any:
    """Wan 2.1: 8 pixels to a latent. Wan 2.2: residual, 16 pixels, two of them a patch."""
    torch.manual_seed(seed)
    if kind == "Wan 2.1":
        config: dict[str, Any] = {"base_dim": 4, "z_dim": 4}
    else:
        config = {
            "base_dim": 8,
            "decoder_base_dim": 8,
            "z_dim": 6,
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
        }
    channels = config["z_dim"]
    return AutoencoderKLWan(
        num_res_blocks=1,
        latents_mean=[0.1 * nth for nth in range(channels)],
        latents_std=[1.0 + 0.1 * nth for nth in range(channels)],
        **config,
    ).eval()
