from pathlib import Path

import pytest
import torch

from moc_engine.models.wan.autoencoder import latent_space
from moc_engine.models.wan.preview import (
    fit_colours,
    latent_colours,
    mean_colours,
    sample_latents,
)
from tests.fakes.autoencoders import KINDS, tiny_autoencoder


@pytest.mark.parametrize("kind", KINDS)
def test_colours_explain_most_of_what_other_latents_decode_to(kind: str) -> None:
    vae = tiny_autoencoder(kind)
    colours = fit_colours(vae)
    unseen = sample_latents(vae, 1000)
    decoded = mean_colours(vae, unseen)

    shown = torch.stack([colours.picture(unseen[:, frame]) for frame in range(unseen.shape[1])], dim=1)

    explained = 1 - (shown - decoded).square().mean() / (decoded - decoded.mean()).square().mean()
    assert explained > 0.8
    assert shown.shape == decoded.shape


def test_they_are_fitted_once_for_the_weights(tmp_path: Path) -> None:
    vae = tiny_autoencoder("Wan 2.1")
    fitted = latent_colours(vae, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stem == latent_space(vae)

    before = file.stat().st_mtime_ns
    kept = latent_colours(vae, tmp_path)
    assert file.stat().st_mtime_ns == before
    assert torch.equal(kept.weights_3C, fitted.weights_3C)
    assert torch.equal(kept.bias_3, fitted.bias_3)

    latent_colours(tiny_autoencoder("Wan 2.1", seed=1), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_fitted_again(tmp_path: Path) -> None:
    vae = tiny_autoencoder("Wan 2.1")
    file = tmp_path / f"{latent_space(vae)}.json"
    file.write_text('{"version": 1, "weights": [[1]], "bias": [0]}')

    assert latent_colours(vae, tmp_path).weights_3C.shape == (3, 4)
