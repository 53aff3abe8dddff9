"""Profiles carried out on tiny models: the CPU can do all of it but hold parts apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from moc_engine.contract import Lora
from moc_engine.models.fitting import FP8, Fitting
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.wan.decoding import decoded_pieces
from moc_engine.models.wan.lora_reading import read_lora
from moc_engine.profiles import PROFILES, SHARED, Profile
from tests.fakes.autoencoders import tiny_autoencoder
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.models import tiny_transformer

CPU = torch.device("cpu")

INT8 = replace(PROFILES[0], name="int8", weights="int8")

ERRORS = {"full": 0.0, "fp8": 0.05, "int8": 0.02}
"""The largest relative error of a prediction by the form of the weights."""


def wide_transformer() -> Any:
    """One whose layers are wide enough for 8-bit scales to matter as they do in real models."""
    return tiny_transformer(attention_head_dim=24, ffn_dim=96)


def fitted(profile: Profile, folder: Path) -> Any:
    fitting = Fitting(profile, CPU)
    wide_transformer().save_pretrained(folder)
    loaded = WanTransformer3DModel.from_pretrained(
        folder, torch_dtype=fitting.dtype, **fitting.transformer_options()
    )
    return fitting.transformer(loaded)


def predicted(transformer: Any) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 4, 2, 4, 4, generator=generator)
    captions = torch.randn(1, 5, 16, generator=generator)
    with torch.no_grad():
        out: Tensor = transformer(latents, torch.tensor([500.0]), captions, return_dict=False)[0]
    return out


def relative_error(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("profile", [SHARED, *PROFILES, INT8], ids=lambda profile: profile.name)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_predictions_stay_within_the_error_of_the_weights(profile: Profile, tmp_path: Path) -> None:
    plain = wide_transformer()
    transformer = fitted(profile, tmp_path)

    error = relative_error(predicted(transformer), predicted(plain))

    assert error <= ERRORS[profile.weights]
    assert error > 0 or profile.weights == "full"
    assert relative_error(predicted(transformer), predicted(plain)) == error  # again, after all has moved


@pytest.mark.parametrize("profile", [PROFILES[1], PROFILES[2], PROFILES[4], INT8], ids=lambda p: p.name)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_loras_are_added_in_full_precision_over_any_weights(profile: Profile, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "look.safetensors", diffusers_keys(factors(wide_transformer())))
    plain = wide_transformer()
    LoraAdapters({"high": plain}, read_lora).use([Lora(source=str(file))])
    transformer = fitted(profile, tmp_path / "model")
    before = predicted(transformer)
    loras = LoraAdapters({"high": transformer}, read_lora, torch.float32)

    loras.use([Lora(source=str(file))])

    assert relative_error(predicted(transformer), predicted(plain)) <= max(2e-6, ERRORS[profile.weights])
    assert relative_error(predicted(transformer), before) > 0.1
    added = [p for name, p in transformer.named_parameters() if ".lora_" in name]
    assert added
    assert all(parameter.dtype == torch.float32 for parameter in added)
    loras.use([])
    assert torch.equal(predicted(transformer), before)


def test_weights_in_8_bit_floats_take_a_quarter_of_float32(tmp_path: Path) -> None:
    transformer = fitted(PROFILES[2], tmp_path)
    layer = transformer.blocks[0].ffn.net[2]
    assert layer.weight.dtype == FP8
    predicted(transformer)
    assert layer.weight.dtype == FP8
    assert transformer.dtype == torch.float32


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_autoencoders_decode_the_same(profile: Profile) -> None:
    latents = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = torch.cat(list(decoded_pieces(tiny_autoencoder("Wan 2.1"), latents)), dim=1)

    vae = Fitting(profile, CPU).autoencoder(tiny_autoencoder("Wan 2.1"))

    assert torch.equal(torch.cat(list(decoded_pieces(vae, latents)), dim=1), whole)


def test_a_freed_text_encoder_is_given_up_when_the_transformer_works(tmp_path: Path) -> None:
    loads: list[bool] = []

    def load() -> Any:
        loads.append(True)
        return torch.nn.Identity()

    class Encoder(torch.nn.Module):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
            return type("Output", (), {"last_hidden_state": input_ids[..., None] * 1.0})()

    fitting = Fitting(PROFILES[2], CPU)
    transformer = fitting.transformer(wide_transformer())
    encoder = fitting.text_encoder(load, identity="a", folder=tmp_path, loaded=Encoder())
    ids = torch.tensor([[1, 2]])
    states = encoder(ids, torch.ones_like(ids)).last_hidden_state
    assert encoder.is_loaded

    predicted(transformer)

    assert not encoder.is_loaded
    assert torch.equal(encoder(ids, torch.ones_like(ids)).last_hidden_state, states)
    assert not loads
