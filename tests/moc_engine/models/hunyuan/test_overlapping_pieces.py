from __future__ import annotations

from typing import Any

import pytest
import torch

from moc_engine.models.hunyuan.latents import HunyuanAutoencoder
from moc_engine.models.hunyuan.overlapping_pieces import decoded_pieces
from moc_engine.training.allocations import PeakBytes
from tests.fakes.hunyuan_folder import hunyuan_autoencoder


def latents(frames: int, side: int = 6) -> torch.Tensor:
    return torch.randn(16, frames, side, side + 2, generator=torch.Generator().manual_seed(frames))


def decoded_whole(vae: Any, own: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        pixels: torch.Tensor = vae.decode(own[None] / vae.config.scaling_factor, return_dict=False)[0][0]
    return pixels.clamp(-1.0, 1.0)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("frames", [1, 4, 5, 6, 7, 8, 12])
def test_pieces_equal_the_clip_decoded_by_diffusers(frames: int, tiled: bool) -> None:
    vae = hunyuan_autoencoder()
    if tiled:
        vae.enable_tiling(32, 32, tile_sample_stride_height=24, tile_sample_stride_width=24)
    own = latents(frames)

    pieces = list(decoded_pieces(vae, own))

    assert torch.equal(torch.cat(pieces, dim=1), decoded_whole(vae, own))
    assert sum(piece.shape[1] for piece in pieces) == 1 + 4 * (frames - 1)
    assert max(piece.shape[1] for piece in pieces) <= 17


def test_each_piece_is_decoded_when_it_is_asked_for() -> None:
    vae = hunyuan_autoencoder()
    decoded: list[int] = []
    vae.decoder.register_forward_hook(lambda module, args, out: decoded.append(out.shape[2]))
    pieces = decoded_pieces(vae, latents(10))

    next(pieces)
    assert decoded == [17]
    assert [piece.shape[1] for piece in pieces] == [12, 12]
    assert decoded == [17, 17, 13]  # the last frame alone would decode to what is there already


def test_long_clips_need_no_more_memory_than_short_ones() -> None:
    vae = hunyuan_autoencoder()
    peaks = []
    for frames in (10, 31):
        own = latents(frames)
        with PeakBytes() as held:
            for piece in decoded_pieces(vae, own):
                assert piece.isfinite().all()
        peaks.append(held.peak)

    assert peaks[1] < 1.03 * peaks[0]


def test_frames_are_encoded_on_the_scale_of_the_transformer() -> None:
    codec = HunyuanAutoencoder(hunyuan_autoencoder())
    video = torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        mode = codec.vae.encode(video).latent_dist.mode()
    assert torch.equal(codec.encoded(video), mode * 0.476986)
    assert codec.encoded(video).shape == (1, *codec.latent_shape(9 / 24, (48, 32), (1, 2, 2)))
