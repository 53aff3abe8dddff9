from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from moc_engine.model_memory import (
    AUTOENCODERS,
    CONTEXT,
    ModelSize,
    predicted_need,
    text_encoder_parameters,
    transformer_bytes,
    transformer_parameters,
    wan_size,
)
from moc_engine.models.fitting import Fitting
from moc_engine.models.wan.decoding import decoded_pieces
from moc_engine.profiles import GIB, PROFILES, SHARED
from moc_engine.training.allocations import PeakBytes
from tests.fakes.autoencoders import KINDS, tiny_autoencoder
from tests.fakes.models import tiny_transformer
from tests.fakes.wan_folders import vace_denoiser

WAN_14B: dict[str, Any] = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 13824,
    "num_layers": 40,
}
WAN_1_3B = {**WAN_14B, "num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
UMT5_XXL = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_heads": 64,
    "num_layers": 24,
    "vocab_size": 256384,
}
A14B = {
    "transformer": WAN_14B,
    "transformer_2": WAN_14B,
    "text_encoder": UMT5_XXL,
    "vae": {"z_dim": 16, "base_dim": 96},
}
SHAPE = 16, 21, 60, 104  # 81 frames of 832 × 480


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    "config", [{}, {"image_dim": 8, "added_kv_proj_dim": 24}, {"num_layers": 3, "ffn_dim": 40}]
)
def test_parameters_of_transformers_are_counted_exactly(config: dict[str, Any]) -> None:
    transformer = tiny_transformer(**config)
    assert transformer_parameters(transformer.config) == count(transformer)


@pytest.mark.parametrize("config", [{}, {"num_layers": 4, "vace_layers": [0, 1, 3], "vace_in_channels": 24}])
def test_parameters_of_control_transformers_are_counted_exactly(config: dict[str, Any]) -> None:
    transformer = vace_denoiser(**config)
    assert transformer_parameters(transformer.config) == count(transformer)
    size = tiny_size(transformer, tiny_autoencoder("Wan 2.1"))
    assert size.blocks == _blocks(transformer) + _linears(transformer.vace_blocks)
    assert size.layers == len(transformer.blocks) + len(transformer.vace_blocks)


def test_parameters_of_published_models_are_counted_exactly() -> None:
    with torch.device("meta"):
        transformer = WanTransformer3DModel(**{**WAN_14B, "patch_size": (1, 2, 2)})
        encoder = UMT5EncoderModel(UMT5Config(**UMT5_XXL))
        autoencoders = {
            16: AutoencoderKLWan(),
            48: AutoencoderKLWan(
                base_dim=160,
                decoder_base_dim=256,
                z_dim=48,
                is_residual=True,
                in_channels=12,
                out_channels=12,
                patch_size=2,
                scale_factor_spatial=16,
                latents_mean=[0.0] * 48,
                latents_std=[1.0] * 48,
            ),
        }
    assert transformer_parameters(WAN_14B) == count(transformer)
    assert text_encoder_parameters(UMT5_XXL) == count(encoder)
    assert {channels: count(vae) for channels, vae in autoencoders.items()} == AUTOENCODERS


@pytest.mark.parametrize("profile", [SHARED, PROFILES[2]], ids=lambda profile: profile.name)
@pytest.mark.parametrize("make", [tiny_transformer, vace_denoiser])
def test_bytes_of_weights_are_those_of_a_loaded_model(make: Any, profile: Any) -> None:
    transformer = make()
    size = tiny_size(transformer, tiny_autoencoder("Wan 2.1"))

    Fitting(profile, torch.device("cpu")).transformer(transformer)

    held = sum(parameter.nbytes for parameter in transformer.parameters())
    assert transformer_bytes(size, profile, full_bytes=4) == held


def _blocks(transformer: Any) -> int:
    return _linears(transformer.blocks)


def _linears(module: torch.nn.Module) -> int:
    return sum(count(layer) for layer in module.modules() if isinstance(layer, torch.nn.Linear))


def tiny_size(transformer: Any, vae: Any) -> ModelSize:
    configs = {"transformer": transformer.config, "text_encoder": UMT5_XXL, "vae": vae.config}
    return replace(wan_size(configs), text_encoder=0, autoencoder=count(vae))


def test_what_denoising_holds_is_predicted_within_a_fifth() -> None:
    transformer = tiny_transformer(attention_head_dim=48, ffn_dim=400)
    shape = 4, 4, 24, 24
    need = predicted_need(
        tiny_size(transformer, tiny_autoencoder("Wan 2.1")), PROFILES[0], shape, guided=False, full_bytes=4
    )
    weights = 4 * (count(transformer) + count(tiny_autoencoder("Wan 2.1"))) + CONTEXT
    latents, captions = torch.zeros(1, *shape), torch.zeros(1, 5, 16)

    with torch.no_grad(), PeakBytes() as held:
        transformer(latents, torch.tensor([500.0]), captions, return_dict=False)

    assert need.stages["denoise"] - weights == pytest.approx(held.peak, rel=0.2)


@pytest.mark.parametrize("hints", [1, 4])
def test_what_hints_hold_is_predicted_within_a_fifth(hints: int) -> None:
    shape = 4, 4, 24, 24
    small: dict[str, Any] = {"in_channels": 4, "out_channels": 4, "attention_head_dim": 48, "num_layers": 4}
    small["ffn_dim"] = 400
    control: dict[str, Any] = {"vace_in_channels": 12, "vace_layers": list(range(hints))}
    plain, with_hints = tiny_transformer(**small), vace_denoiser(**small, **control)
    peaks, predicted = [], []
    for transformer in (plain, with_hints):
        given: dict[str, Any] = {"encoder_hidden_states": torch.zeros(1, 5, 16)}
        if transformer is with_hints:
            given["control_hidden_states"] = torch.zeros(1, 12, *shape[1:])
        with torch.no_grad(), PeakBytes(transformer.parameters()) as held:
            transformer(torch.zeros(1, *shape), torch.tensor([500.0]), return_dict=False, **given)
        peaks.append(held.peak)
        vae = tiny_autoencoder("Wan 2.1")
        need = predicted_need(tiny_size(transformer, vae), PROFILES[0], shape, guided=False, full_bytes=4)
        predicted.append(need.stages["denoise"] - 4 * count(transformer))

    assert predicted[1] - predicted[0] == pytest.approx(peaks[1] - peaks[0], rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_decoding_holds_is_predicted_within_a_fifth(kind: str) -> None:
    vae, transformer = tiny_autoencoder(kind), tiny_transformer()
    shape = vae.config.z_dim, 3, 8, 12
    need = predicted_need(tiny_size(transformer, vae), PROFILES[0], shape, full_bytes=4)
    weights = 4 * (count(transformer) + count(vae)) + CONTEXT

    with PeakBytes() as held:
        assert len(list(decoded_pieces(vae, torch.zeros(shape)))) == 3

    assert need.stages["decode"] - weights == pytest.approx(held.peak, rel=0.2)


def test_lower_profiles_need_less() -> None:
    needs = [predicted_need(wan_size(A14B), profile, SHAPE) for profile in PROFILES]
    devices = [need.device for need in needs]
    assert devices == sorted(devices, reverse=True)
    assert needs[0].host == 0
    assert all(need.host > 0 for need in needs[1:])


def test_models_fit_the_cards_that_profiles_are_named_for() -> None:
    """At 480p with guidance, without a history; 8 GB are for smaller models."""
    for profile in PROFILES:
        configs = (
            {**A14B, "transformer": WAN_1_3B, "transformer_2": WAN_1_3B} if profile.name == "8gb" else A14B
        )
        need = predicted_need(wan_size(configs), profile, SHAPE)
        assert need.device < float(profile.name.removesuffix("gb")) * GIB, (profile.name, need)
    assert not predicted_need(wan_size(A14B), PROFILES[0], SHAPE).fits(24 * GIB, 64 * GIB)
