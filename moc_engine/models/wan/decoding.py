"""Decodes latents of Wan's autoencoder piece by piece, so that frames are written while others are decoded.

The decoder is causal over time: with the features that it keeps of the frames before, a latent frame alone
decodes to the same pixels as in the whole clip. Memory does not grow with the length of the clip.

Shapes: C channels, F latent frames, H and W latent sides; a piece is (3, f, height, width) within -1 and 1.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tile:
    """A part of the picture, first:stop in latents, and what its convolutions keep of the frames before."""

    rows: slice
    columns: slice
    kept: list[Tensor | str | None] = field(default_factory=list)


@torch.no_grad()
def decoded_pieces(vae: Any, latents_CFHW: Tensor) -> Generator[Tensor, None, None]:
    """The pixels of each latent frame in order; `latents_CFHW` as the transformer makes them, normalised.

    Large pictures are decoded in tiles where the autoencoder has `use_tiling`; the joints are blended as
    diffusers does, and what tiles keep of the frames before waits in main memory. The autoencoder must not
    decode anything else meanwhile.
    """
    latents = unnormalised(vae, latents_CFHW)[None]
    tiles = _tiles(vae, latents)
    try:
        for nth in range(latents.shape[2]):
            decoded = [
                [_decoded_tile(vae, latents[:, :, nth : nth + 1], tile, first=nth == 0) for tile in row]
                for row in tiles
            ]
            pixels = decoded[0][0] if len(tiles) == len(tiles[0]) == 1 else _blended(vae, decoded, latents)
            yield _unpatched(pixels, vae.config.patch_size or 1).clamp(-1.0, 1.0)[0]
    finally:
        vae.clear_cache()


def unnormalised(vae: Any, latents_CFHW: Tensor) -> Tensor:
    """Latents on the scale, the device and in the dtype of the autoencoder."""
    latents = latents_CFHW.to(vae.device, vae.dtype)
    mean, std = _moments(vae, latents)
    return latents * std + mean


def normalised(vae: Any, latents_CFHW: Tensor) -> Tensor:
    """Latents of the autoencoder on the scale of the transformer."""
    mean, std = _moments(vae, latents_CFHW)
    return (latents_CFHW - mean) / std


def _moments(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (
        like.new_tensor(values).view(-1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, std


def _tiles(vae: Any, latents: Tensor) -> list[list[_Tile]]:
    """The tiles of a picture, row by row; a single one where it is small or tiling is off."""
    height, width = latents.shape[-2:]
    ratio = vae.spatial_compression_ratio
    sides = vae.tile_sample_min_height // ratio, vae.tile_sample_min_width // ratio
    if not vae.use_tiling or (height <= sides[0] and width <= sides[1]):
        return [[_tile(vae, slice(None), slice(None))]]
    strides = vae.tile_sample_stride_height // ratio, vae.tile_sample_stride_width // ratio
    return [
        [
            _tile(vae, slice(top, top + sides[0]), slice(left, left + sides[1]))
            for left in range(0, width, strides[1])
        ]
        for top in range(0, height, strides[0])
    ]


def _tile(vae: Any, rows: slice, columns: slice) -> _Tile:
    vae.clear_cache()
    return _Tile(rows=rows, columns=columns, kept=list(vae._feat_map))


def _decoded_tile(vae: Any, latent: Tensor, tile: _Tile, *, first: bool) -> Tensor:
    features = vae.post_quant_conv(latent[..., tile.rows, tile.columns])
    kept = [_moved(feature, features.device) for feature in tile.kept]
    tile.kept.clear()  # the decoder frees each feature when it has a newer one
    pixels: Tensor = vae.decoder(features, feat_cache=kept, feat_idx=[0], first_chunk=first)
    tile.kept[:] = [_moved(feature, torch.device("cpu")) for feature in kept] if vae.use_tiling else kept
    return pixels


def _moved(feature: Tensor | str | None, device: torch.device) -> Tensor | str | None:
    """What a convolution keeps, on a device; it keeps a word too where it has skipped a frame."""
    return feature.to(device) if isinstance(feature, Tensor) else feature


def _blended(vae: Any, decoded: list[list[Tensor]], latents: Tensor) -> Tensor:
    """One picture from tiles that overlap."""
    patch = vae.config.patch_size or 1
    ratio = vae.spatial_compression_ratio // patch
    stride = vae.tile_sample_stride_height // patch, vae.tile_sample_stride_width // patch
    overlap = (
        vae.tile_sample_min_height // patch - stride[0],
        vae.tile_sample_min_width // patch - stride[1],
    )
    rows = []
    for i, row in enumerate(decoded):
        for j, tile in enumerate(row):
            if i > 0:
                tile = vae.blend_v(decoded[i - 1][j], tile, overlap[0])
            if j > 0:
                vae.blend_h(row[j - 1], tile, overlap[1])
        rows.append(torch.cat([tile[..., : stride[0], : stride[1]] for tile in row], dim=-1))
    height, width = (side * ratio for side in latents.shape[-2:])
    return torch.cat(rows, dim=-2)[..., :height, :width]


def _unpatched(pixels: Tensor, patch: int) -> Tensor:
    """Channels (3 · patch · patch) spread over the picture, as Wan 2.2's autoencoder needs."""
    if patch == 1:
        return pixels
    batch, channels, frames, height, width = pixels.shape
    spread = pixels.view(batch, channels // patch**2, patch, patch, frames, height, width)
    return spread.permute(0, 1, 4, 5, 3, 6, 2).reshape(
        batch, channels // patch**2, frames, height * patch, width * patch
    )
