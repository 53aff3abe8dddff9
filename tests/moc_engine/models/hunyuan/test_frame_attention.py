from __future__ import annotations

import pytest
import torch

from moc_engine.models.hunyuan.frame_attention import attend_frame_by_frame
from moc_engine.training.allocations import PeakBytes
from tests.fakes.hunyuan_folder import hunyuan_autoencoder


@pytest.mark.parametrize("frames", [1, 3])
@torch.no_grad()
def test_it_is_that_of_diffusers(frames: int) -> None:
    vae = hunyuan_autoencoder()
    generator = torch.Generator().manual_seed(frames)
    latents = torch.randn(1, 16, frames, 4, 6, generator=generator)
    video = torch.randn(1, 3, 4 * frames - 3, 32, 48, generator=generator)
    plain = vae.decode(latents, return_dict=False)[0], vae.encode(video).latent_dist.mode()
    names = list(vae.state_dict())

    attend_frame_by_frame(vae)

    torch.testing.assert_close(vae.decode(latents, return_dict=False)[0], plain[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vae.encode(video).latent_dist.mode(), plain[1], atol=1e-5, rtol=1e-4)
    assert list(vae.state_dict()) == names


@torch.no_grad()
def test_its_memory_grows_with_the_picture_and_not_with_its_square() -> None:
    vae = hunyuan_autoencoder()
    attend_frame_by_frame(vae)
    peaks = []
    for side in (8, 32):
        with PeakBytes() as held:
            vae.decoder.mid_block(torch.zeros(1, 4, 4, side, side))
        peaks.append(held.peak)

    assert peaks[1] < 17 * peaks[0]
