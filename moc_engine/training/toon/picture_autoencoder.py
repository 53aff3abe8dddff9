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

SIGNED: Final = 7
"""Channels that carry colours before training: three, their negatives, and a constant.

x = silu(x) - silu(-x), and beside a constant the norms over channels keep how strong a colour is.
"""

CONSTANT: Final = 2.0
"""The value of the constant."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderSize:
    """`base` channels at the picture's own resolution, and `channels` of the latents."""

    base: int = 16
    channels: int = 8
    blocks: int = 1


def build_autoencoder(size: AutoencoderSize) -> Any:
    """An `AutoencoderKLWan` before training; seed torch first for the same weights.

    Of `SIGNED` channels or more it starts near the mean colour of each latent's pixels, with residual blocks
    that add nothing (Zhang et al., Fixup, ICLR 2019). From random weights the decoder learns outlines first,
    and hundreds of steps later hues apart from lightness.
    """
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
        if size.base >= SIGNED and size.channels >= 3:
            _start_with_colours(vae)
    return vae


def _start_with_colours(vae: Any) -> None:
    """Sets the weights along the shortest way through the autoencoder; all others stay as they are."""
    for part in (vae.encoder, vae.decoder):
        for module in part.modules():
            match type(module).__name__:
                case "WanResidualBlock":
                    _silence(module.conv2)
                    if isinstance(module.conv_shortcut, torch.nn.Conv3d):
                        _carry(module.conv_shortcut)
                case "WanAttentionBlock":
                    _silence(module.proj)
                case "WanResample":
                    _carry(module.resample[1], mean=module.mode.startswith("down"))
        first, last = part.conv_in, part.conv_out
        _silence(first, SIGNED)
        _silence(last, 3)
        first.bias[SIGNED - 1] = CONSTANT
        for colour in range(3):
            first.weight[colour, colour, -1, 1, 1] = 1.0
            first.weight[colour + 3, colour, -1, 1, 1] = -1.0
            size = CONSTANT / last.in_channels**0.5  # what the norm divides by, of a colour near grey
            last.weight[colour, colour, -1, 1, 1] = size
            last.weight[colour, colour + 3, -1, 1, 1] = -size
    for between in (vae.quant_conv, vae.post_quant_conv):
        _carry(between, count=3)


def _carry(convolution: Any, *, count: int = SIGNED, mean: bool = False) -> None:
    """Lets the first `count` channels pass, each the `mean` of four pixels or as it is."""
    _silence(convolution, count)
    weight = convolution.weight[:, :, -1] if convolution.weight.ndim == 5 else convolution.weight
    middle = weight.shape[-1] // 2
    for channel in range(count):
        if mean:
            weight[channel, channel, :2, :2] = 0.25
        else:
            weight[channel, channel, middle, middle] = 1.0


def _silence(convolution: Any, count: int | None = None) -> None:
    """Makes the first `count` channels of the output zero, or all."""
    convolution.weight[:count] = 0.0
    convolution.bias[:count] = 0.0


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
    """The mean absolute error of colours at four scales and of edges at three, and coarse squared errors.

    Edges are differences of neighbouring pixels; they keep outlines sharp without a perceptual network. The
    squares hold the hues of small areas.
    """
    total = pictures.new_zeros(())
    for scale in range(4):
        if scale:
            pictures, rebuilt = avg_pool2d(pictures, 2), avg_pool2d(rebuilt, 2)
        error = pictures - rebuilt
        total = total + error.abs().mean()
        if scale:
            total = total + 4.0 * error.square().mean()
        if scale < 3:
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
