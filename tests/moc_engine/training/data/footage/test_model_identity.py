from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from moc_engine.errors import FootageError
from moc_engine.models.finding import find_model
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.data.footage.model_identity import check_cache
from tests.fakes.tuning_runs import base_folder, cache_folder


def _other_autoencoder(base: Path) -> None:
    vae = AutoencoderKLWan.from_pretrained(base / "vae")
    with torch.no_grad():
        vae.decoder.conv_in.weight.mul_(1.5)
    vae.save_pretrained(base / "vae")


def _other_text_encoder(base: Path) -> None:
    file = base / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    weights["shared.weight"] = weights["shared.weight"] + 1
    save_file(weights, file, {"format": "pt"})


def _other_tokenizer(base: Path) -> None:
    file = base / "tokenizer" / "tokenizer.json"
    file.write_text(file.read_text().replace('"fox"', '"wolf"'))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_other_autoencoder, r"latents of base \(wan-16c4t8s-\w+\) are not those of tiny; cache it again"),
        (_other_text_encoder, "caption states of base are not those of tiny: other text encoders"),
        (_other_tokenizer, "caption states of base are not those of tiny: other text encoders"),
    ],
)
def test_a_cache_of_other_encoders_is_refused(tmp_path: Path, change: object, told: str) -> None:
    base = base_folder(tmp_path / "base")
    footage = CachedFootage(cache_folder(tmp_path / "cache", base, stories=1))
    check_cache(footage, find_model(base))
    assert callable(change)
    change(base)
    with pytest.raises(FootageError, match=f"is a cache for another model: {told}"):
        check_cache(footage, find_model(base))


def test_a_cache_is_that_of_every_model_with_its_encoders(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    footage = CachedFootage(cache_folder(tmp_path / "cache", base, stories=1))
    tuned = base_folder(tmp_path / "tuned", num_layers=3)
    check_cache(footage, find_model(tuned))
    assert footage.identity.model == "tiny"
