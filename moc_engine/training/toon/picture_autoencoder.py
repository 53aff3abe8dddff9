"""The toon model's autoencoder: a small `AutoencoderKLWan` that encodes each frame by itself.

A latent frame stands for one frame, so that a chunk of the history is one picture. The convolutions' taps of
earlier frames are zero, so that clips of any length are encoded and decoded as frame by frame. While it is
trained, each convolution runs over its last tap alone, in two dimensions.

Shapes: R pictures, Z latent channels, Y and X sides in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

PIXELS: Final = 8
"""Pixels of a side that a latent stands for."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderSize:
    """`base` channels at the picture's own resolution, and `channels` of the latents."""

    base: int = 16
    channels: int = 8
    blocks: int = 1


def build_autoencoder(size: AutoencoderSize) -> Any:
    """An untrained `AutoencoderKLWan`; seed torch first for the same weights."""
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan(
        base_dim=size.base,
        z_dim=size.channels,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=size.blocks,
        attn_scales=[],
        temperal_downsample=[False, False, False],
        latents_mean=[0.0] * size.channels,
        latents_std=[1.0] * size.channels,
        scale_factor_temporal=1,
        scale_factor_spatial=PIXELS,
    )
    with torch.no_grad():
        for convolution in _convolutions(vae):
            convolution.weight[:, :, :-1] = 0.0
    return vae


@contextmanager
def frame_by_frame(vae: Any) -> Iterator[None]:
    """Within the block the convolutions take single frames and cost a third, with the same results."""
    convolutions = _convolutions(vae)
    for convolution in convolutions:
        convolution.forward = partial(_last_tap, convolution)
    try:
        yield
    finally:
        for convolution in convolutions:
            del convolution.forward


def encode(vae: Any, pictures_R3YX: Tensor) -> Tensor:
    """The latents (R, Z, Y / 8, X / 8) of pictures within -1 and 1, as they are, not normalised."""
    moments = vae.quant_conv(vae.encoder(pictures_R3YX[:, :, None]))
    latents: Tensor = moments[:, : vae.config.z_dim, 0]
    return latents


def decode(vae: Any, latents_RZHW: Tensor) -> Tensor:
    """The pictures (R, 3, Y, X) of latents."""
    pictures: Tensor = vae.decoder(vae.post_quant_conv(latents_RZHW[:, :, None]))
    return pictures[:, :, 0]


def reconstruction_loss(pictures: Tensor, rebuilt: Tensor) -> Tensor:
    """The mean absolute error of colours and of edges, at three scales.

    Edges are differences of neighbouring pixels; they keep outlines sharp without a perceptual network.
    """
    total = pictures.new_zeros(())
    for scale in range(3):
        if scale:
            pictures, rebuilt = avg_pool2d(pictures, 2), avg_pool2d(rebuilt, 2)
        error = pictures - rebuilt
        total = total + error.abs().mean()
        total = total + 0.5 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
    return total


@torch.no_grad()
def set_moments(vae: Any, latents_RZHW: Tensor) -> None:
    """Writes the mean and the deviation of each channel into the autoencoder's config."""
    mean = latents_RZHW.mean(dim=(0, 2, 3))
    std = latents_RZHW.std(dim=(0, 2, 3))
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())


def _convolutions(vae: Any) -> Sequence[Any]:
    """All convolutions over time."""
    return [m for m in vae.modules() if isinstance(m, torch.nn.Conv3d)]


def _last_tap(convolution: Any, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
    left, _, above, *_ = convolution._padding
    flat = conv2d(
        x[:, :, 0], convolution.weight[:, :, -1], convolution.bias, convolution.stride[1:], (above, left)
    )
    return flat[:, :, None]
