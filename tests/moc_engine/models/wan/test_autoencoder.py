from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

from moc_engine.models.loading import load_backbone
from moc_engine.models.wan.autoencoder import WanAutoencoder
from tests.fakes.wan_folders import wan_a14b_folder, wan_euler_folder, wan_ti2v_folder


@pytest.fixture
def vae() -> AutoencoderKLWan:
    torch.manual_seed(0)
    return AutoencoderKLWan(base_dim=4, num_res_blocks=1)


def test_models_of_one_autoencoder_share_a_latent_space(tmp_path: Path) -> None:
    spaces = []
    for make in (wan_euler_folder, wan_a14b_folder, wan_ti2v_folder):
        make(tmp_path / make.__name__)
        spaces.append(load_backbone(tmp_path / make.__name__, "cpu").latent_space)
    assert spaces[0] == spaces[1] != spaces[2]
    assert [space.split("-")[1] for space in spaces] == ["16c4t8s", "16c4t8s", "48c4t16s"]


def test_a_latent_space_is_the_same_in_any_precision(vae: AutoencoderKLWan) -> None:
    space = WanAutoencoder(vae).latent_space
    assert WanAutoencoder(vae.to(torch.bfloat16)).latent_space == space


def test_another_decoder_is_another_latent_space(vae: AutoencoderKLWan) -> None:
    space = WanAutoencoder(vae).latent_space
    with torch.no_grad():
        vae.encoder.conv_in.weight.add_(1.0)
    assert WanAutoencoder(vae).latent_space == space  # what latents mean is up to the decoder
    with torch.no_grad():
        vae.decoder.conv_in.weight[0, 0].add_(1.0)
    assert WanAutoencoder(vae).latent_space != space


def test_frames_come_in_the_size_of_the_latents(vae: AutoencoderKLWan) -> None:
    codec = WanAutoencoder(vae)
    shape = (16, 2, 4, 6)
    assert (codec.frames_of(2), codec.pixels(shape)) == (5, (48, 32))
    frames = [np.full((64, 64, 3), 255, np.uint8)] * 5
    video = codec.prepared(frames, codec.pixels(shape))
    assert video.shape == (1, 3, 5, 32, 48)
    assert torch.equal(video, torch.ones_like(video))
    assert codec.encoded(video).shape == (1, *shape)


def test_a_large_picture_is_halved_and_a_small_one_is_enlarged(vae: AutoencoderKLWan) -> None:
    codec = WanAutoencoder(vae)
    levels = (np.arange(5000) // 20).astype(np.uint8)  # from the top to the bottom
    large = Image.fromarray(np.broadcast_to(levels[:, None, None], (5000, 4000, 3)).copy())
    prepared = codec.prepared_picture(large)
    assert prepared.shape == (1, 3, 2496, 2000)
    assert torch.equal(prepared, codec.prepared_picture(large.reduce(2)))
    assert prepared[0, 0, 0, 0] < -0.99 < 0.9 < prepared[0, 0, -1, 0]
    assert codec.prepared_picture(Image.new("RGB", (3, 20))).shape == (1, 3, 16, 8)
