"""Decodes latents of HunyuanVideo's autoencoder piece by piece, so that frames are written meanwhile.

The decoder's norms see all frames that are decoded at once. A long clip is therefore decoded in the pieces of
diffusers, which overlap and are blended: the same pixels as `vae.decode` returns, one piece at a time.

Shapes: C channels, F latent frames, H and W latent sides; a piece is (3, n, height, width) within -1 and 1.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def decoded_pieces(vae: Any, latents_CFHW: Tensor) -> Generator[Tensor]:
    """The pixels of a clip in order; `latents_CFHW` as the transformer makes them, scaled.

    Large pictures are decoded in tiles where the autoencoder has `use_tiling`.
    """
    latents = latents_CFHW[None].to(vae.device, vae.dtype) / vae.config.scaling_factor
    over_time = vae.temporal_compression_ratio
    most, stride = (
        frames // over_time for frames in (vae.tile_sample_min_num_frames, vae.tile_sample_stride_num_frames)
    )
    count = latents.shape[2]
    if not vae.use_framewise_decoding or count <= most:
        yield _decoded(vae, latents).clamp(-1.0, 1.0)[0]
        return
    joint = vae.tile_sample_min_num_frames - vae.tile_sample_stride_num_frames
    before: Tensor | None = None
    for first in range(0, count, stride):
        if first > 0 and first == count - 1:
            break  # the piece before has all of it
        piece = _decoded(vae, latents[:, :, first : first + most + 1])
        if before is not None:
            piece = vae.blend_t(before, piece[:, :, 1:], joint)
        shown = piece[:, :, : vae.tile_sample_stride_num_frames + (before is None)].clamp(-1.0, 1.0)
        before = piece[:, :, -joint:].clone() if joint else piece[:, :, :0]
        del piece  # its room is for the next one
        yield shown[0]


def _decoded(vae: Any, latents: Tensor) -> Tensor:
    """The pixels (1, 3, N, Y, X) of latents that are decoded at once, in tiles where they are too large."""
    ratio = vae.spatial_compression_ratio
    height, width = latents.shape[-2:]
    if vae.use_tiling and (
        height > vae.tile_sample_min_height // ratio or width > vae.tile_sample_min_width // ratio
    ):
        tiled: Tensor = vae.tiled_decode(latents, return_dict=False)[0]
        return tiled
    pixels: Tensor = vae.decoder(vae.post_quant_conv(latents))
    return pixels
