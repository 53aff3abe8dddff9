"""The encoders of a Wan model give what the whole model would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from moc_engine.models.base import EncodesFrames
from moc_engine.models.finding import find_model
from moc_engine.models.loading import load_backbone
from moc_engine.models.wan.encoders import WanEncoders
from moc_engine.profiles import PROFILES, SHARED
from tests.fakes.footage_clips import moving
from tests.fakes.wan_folders import wan_t2v_folder, wan_ti2v_folder


@pytest.mark.parametrize(("make", "size"), [(wan_t2v_folder, (32, 32)), (wan_ti2v_folder, (64, 32))])
def test_latents_and_states_are_those_of_the_whole_model(
    tmp_path: Path, make: object, size: tuple[int, int]
) -> None:
    assert callable(make)
    make(tmp_path / "wan")
    encoders = WanEncoders(find_model(tmp_path / "wan"), torch.device("cpu"), SHARED)
    backbone = load_backbone(tmp_path / "wan", "cpu")
    assert encoders.latent_space == backbone.latent_space
    family = backbone.family
    assert isinstance(family, EncodesFrames)
    frames = moving(1, 5, size)
    shape = family.latent_shape(0.25, size)
    assert shape[1] == 2
    torch.testing.assert_close(encoders.latents(frames), family.encoded(frames, shape))
    states = encoders.states("a fox &amp; runs")
    assert states.shape == (5, 16)
    whole = family.captions("a fox", "a fox & runs", ()).states_BSE[0]
    torch.testing.assert_close(whole[3:8], states)
    assert encoders.states("").shape == (1, 16)
    assert encoders.left_out("fox " * 20, "fox " * 505).style == 15
    assert encoders.text_dtype == "float32"


def test_identities_are_those_of_weights(tmp_path: Path) -> None:
    """They stay where a model is copied, and change with a weight."""
    for name in ("one", "two"):
        wan_t2v_folder(tmp_path / name)
    one, two = (
        WanEncoders(find_model(tmp_path / name), torch.device("cpu"), SHARED) for name in ("one", "two")
    )
    assert one.autoencoder_identity == two.autoencoder_identity
    assert one.text_encoder_identity == two.text_encoder_identity
    file = tmp_path / "two" / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["encoder.conv_in.weight"] += 1.0
    save_file(weights, file, {"format": "pt"})
    other = WanEncoders(find_model(tmp_path / "two"), torch.device("cpu"), SHARED)
    assert other.autoencoder_identity != two.autoencoder_identity
    (file,) = (tmp_path / "two" / "text_encoder").glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert other.text_encoder_identity != one.text_encoder_identity


def test_the_text_encoder_is_freed_and_comes_back(tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path / "wan")
    for profile in (SHARED, PROFILES[2]):
        encoders = WanEncoders(find_model(tmp_path / "wan"), torch.device("cpu"), profile)
        encoders.release_text_encoder()
        first = encoders.states("a fox")
        encoders.release_text_encoder()
        torch.testing.assert_close(encoders.states("a fox"), first)


def test_encoding_is_ended_by_the_check(tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path / "wan")
    encoders = WanEncoders(find_model(tmp_path / "wan"), torch.device("cpu"), SHARED)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), encoders.ended_by(interrupt):
        encoders.latents([np.zeros((16, 16, 3), dtype=np.uint8)])
