from pathlib import Path

import pytest
import torch

from moc_engine.models.hunyuan.latents import HunyuanAutoencoder
from moc_engine.models.latent_colours import (
    fit_colours,
    latent_colours,
    mean_colours,
    sample_latents,
)
from moc_engine.models.video_autoencoder import VideoAutoencoder
from moc_engine.models.wan.autoencoder import WanAutoencoder
from tests.fakes.autoencoders import KINDS, tiny_autoencoder
from tests.fakes.hunyuan_folder import hunyuan_autoencoder

HUNYUAN = "HunyuanVideo"


def tiny_codec(kind: str, seed: int = 0) -> VideoAutoencoder:
    if kind == HUNYUAN:
        return HunyuanAutoencoder(hunyuan_autoencoder())
    return WanAutoencoder(tiny_autoencoder(kind, seed=seed))


@pytest.mark.parametrize(("kind", "least"), [*((kind, 0.8) for kind in KINDS), (HUNYUAN, 0.3)])
def test_colours_explain_much_of_what_other_latents_decode_to(kind: str, least: float) -> None:
    """Of HunyuanVideo's less: norms over the picture make a decoder of random weights far from linear."""
    codec = tiny_codec(kind)
    colours = fit_colours(codec)
    unseen = sample_latents(codec, 1000)
    decoded = mean_colours(codec, unseen)

    shown = torch.stack([colours.picture(unseen[:, frame]) for frame in range(unseen.shape[1])], dim=1)

    explained = 1 - (shown - decoded).square().mean() / (decoded - decoded.mean()).square().mean()
    assert explained > least
    assert shown.shape == decoded.shape


def test_they_are_fitted_once_for_the_weights(tmp_path: Path) -> None:
    codec = tiny_codec("Wan 2.1")
    fitted = latent_colours(codec, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stem == codec.latent_space

    before = file.stat().st_mtime_ns
    kept = latent_colours(codec, tmp_path)
    assert file.stat().st_mtime_ns == before
    assert torch.equal(kept.weights_3C, fitted.weights_3C)
    assert torch.equal(kept.bias_3, fitted.bias_3)

    latent_colours(tiny_codec("Wan 2.1", seed=1), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_fitted_again(tmp_path: Path) -> None:
    codec = tiny_codec("Wan 2.1")
    file = tmp_path / f"{codec.latent_space}.json"
    file.write_text('{"version": 1, "weights": [[1]], "bias": [0]}')

    assert latent_colours(codec, tmp_path).weights_3C.shape == (3, 4)
