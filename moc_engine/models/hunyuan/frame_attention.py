"""Attention between the frames of HunyuanVideo's autoencoder, without a mask over all pairs of tokens.

In the middle of encoder and decoder, each frame attends to itself and to those before. diffusers masks all
pairs, which at 1280 × 720 takes 31 GB; one frame after the other needs no mask, and computes the same.

Shapes: B batch, C channels, F latent frames, H and W latent sides, L tokens, of which a frame has N.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend_frame_by_frame(vae: Any) -> None:
    """Makes an `AutoencoderKLHunyuanVideo` attend so from now on; its weights keep their names."""
    for block in (vae.encoder.mid_block, vae.decoder.mid_block):
        block.forward = partial(_forward, block)


def _forward(block: Any, hidden_BCFHW: Tensor) -> Tensor:
    first, *further = block.resnets
    hidden: Tensor = first(hidden_BCFHW)
    for attention, resnet in zip(block.attentions, further, strict=True):
        hidden = resnet(hidden if attention is None else _attended(attention, hidden))
    return hidden


def _attended(attention: Any, hidden_BCFHW: Tensor) -> Tensor:
    B, C, F, H, W = hidden_BCFHW.shape
    N = H * W
    normed_BLC = attention.group_norm(hidden_BCFHW.flatten(2)).transpose(1, 2)
    q, k, v = (
        layer(normed_BLC).view(B, F * N, attention.heads, -1).transpose(1, 2)
        for layer in (attention.to_q, attention.to_k, attention.to_v)
    )
    frames = [
        scaled_dot_product_attention(
            q[:, :, frame * N : (frame + 1) * N], k[:, :, : (frame + 1) * N], v[:, :, : (frame + 1) * N]
        )
        for frame in range(F)
    ]
    out_BLC = torch.cat(frames, dim=2).transpose(1, 2).flatten(2)
    moved_BCFHW = attention.to_out[0](out_BLC).transpose(1, 2).view(B, C, F, H, W)
    joined: Tensor = (moved_BCFHW + hidden_BCFHW) / attention.rescale_output_factor
    return joined
