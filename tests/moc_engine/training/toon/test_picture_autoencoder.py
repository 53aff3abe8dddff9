from pathlib import Path

import numpy as np
import pytest
import torch

from moc_engine.errors import CheckpointError
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.training.toon.autoencoder_training import AutoencoderRecipe, AutoencoderTraining
from moc_engine.training.toon.picture_autoencoder import (
    AutoencoderSize,
    build_autoencoder,
    decode,
    encode,
    frame_by_frame,
    reconstruction_loss,
)

SIZE = AutoencoderSize(base=4, channels=4)
RECIPE = AutoencoderRecipe(size=SIZE, steps=4, batch=2, warmup=1, checkpoint_seconds=0.0)
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 16, 24, 3), dtype=np.uint8)


def training(folder: Path, recipe: AutoencoderRecipe = RECIPE) -> AutoencoderTraining:
    return AutoencoderTraining(recipe, PICTURES, folder, device=torch.device("cpu"))


@pytest.mark.parametrize("frames", [1, 2, 5, 8])
@torch.no_grad()
def test_clips_are_encoded_and_decoded_as_their_frames_are(frames: int) -> None:
    torch.manual_seed(0)
    vae = build_autoencoder(SIZE).eval()
    clip = torch.rand(frames, 3, 16, 24) * 2 - 1
    with frame_by_frame(vae):
        latents = encode(vae, clip)
        pictures = decode(vae, latents)
    assert latents.shape == (frames, 4, 2, 3)
    codec = WanAutoencoder(vae, rate=2.0)
    whole = codec.encoded(clip.transpose(0, 1)[None])[0]
    torch.testing.assert_close(whole.transpose(0, 1), latents, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        codec.decoded(whole).transpose(0, 1), pictures.clamp(-1, 1), atol=1e-5, rtol=1e-4
    )
    assert codec.frames_of(frames) == frames


def test_the_error_is_of_colours_and_edges() -> None:
    flat = torch.zeros(1, 3, 8, 8)
    assert reconstruction_loss(flat, flat) == 0.0
    assert reconstruction_loss(flat, flat + 0.5) == pytest.approx(4 * 0.5 + 3 * 4 * 0.25)
    striped = flat + torch.tensor([0.5, -0.5]).repeat(4)
    assert reconstruction_loss(flat, striped) == pytest.approx(0.5 + 0.5 * 1.0)


@torch.no_grad()
def test_colours_pass_before_training() -> None:
    """Each comes back with its hue, strong ones weaker, and no two as one."""
    torch.manual_seed(0)
    vae = build_autoencoder(AutoencoderSize(base=8, channels=4)).eval()
    colours = torch.cartesian_prod(*[torch.tensor([-0.8, 0.0, 0.8])] * 3)
    with frame_by_frame(vae):
        rebuilt = decode(vae, encode(vae, colours[:, :, None, None].expand(-1, 3, 32, 32)))
    found = rebuilt[:, :, 8:-8, 8:-8].mean(dim=(2, 3))
    assert torch.cosine_similarity(found, colours).abs().sort().values[1:].min() > 0.99  # grey has no hue
    assert (found.norm(dim=1) / colours.norm(dim=1).clamp(min=0.1)).max() < 1.0
    assert (torch.cdist(found, found) + torch.eye(len(found))).min() > 0.3


def test_an_ended_training_goes_on_with_the_same_weights(tmp_path: Path) -> None:
    whole = training(tmp_path / "whole").run()
    part = training(tmp_path / "part")
    with frame_by_frame(part.vae):
        part.step_once()
    part.save()
    resumed = training(tmp_path / "part")
    assert resumed.step == 1
    vae = resumed.run()
    assert resumed.done
    assert list(vae.config.latents_mean) == list(whole.config.latents_mean) != [0.0] * 4
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, vae.state_dict()[name]), name


def test_a_checkpoint_is_done_only_with_its_moments(tmp_path: Path) -> None:
    """A kill between the last step and the end costs that step alone."""

    class Killed(AutoencoderTraining):
        def _batch(self, step: int, count: int) -> torch.Tensor:
            if count == 256:
                raise KeyboardInterrupt
            return super()._batch(step, count)

    with pytest.raises(KeyboardInterrupt):
        Killed(RECIPE, PICTURES, tmp_path, device=torch.device("cpu")).run()
    resumed = training(tmp_path)
    assert resumed.step == RECIPE.steps - 1
    assert list(resumed.run().config.latents_mean) != [0.0] * 4


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    training(tmp_path).save()
    other = AutoencoderRecipe(size=SIZE, steps=9, batch=2)
    with pytest.raises(CheckpointError, match="is of another recipe"):
        training(tmp_path, other)
    (tmp_path / "autoencoder.pt").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="is damaged, or no checkpoint"):
        training(tmp_path)


def test_training_lowers_the_error(tmp_path: Path) -> None:
    flat = np.full((8, 16, 24, 3), 220, dtype=np.uint8)
    recipe = AutoencoderRecipe(size=SIZE, steps=20, batch=2, warmup=5)
    one = AutoencoderTraining(recipe, flat, tmp_path, device=torch.device("cpu"))
    before = one.error(flat)
    one.run()
    assert one.error(flat) < 0.6 * before
    assert [step for step, _ in one.curve] == [20]
