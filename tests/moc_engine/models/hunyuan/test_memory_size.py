from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo, HunyuanVideoTransformer3DModel
from transformers import CLIPTextModel, LlamaModel

from moc_engine.config import MemoryChoice
from moc_engine.model_library import describe
from moc_engine.model_memory import CONTEXT, ModelSize, predicted_need, transformer_bytes
from moc_engine.models.finding import find_here
from moc_engine.models.fitting import Fitting
from moc_engine.models.hunyuan.latents import HunyuanAutoencoder
from moc_engine.models.hunyuan.memory_size import (
    AUTOENCODER,
    clip_parameters,
    hunyuan_size,
    llama_parameters,
    transformer_parameters,
)
from moc_engine.models.sizes import model_size
from moc_engine.profiles import GIB, PROFILES, SHARED
from moc_engine.render_need import render_needs
from moc_engine.training.allocations import PeakBytes
from tests.fakes.hunyuan_folder import (
    POOLED_WIDTH,
    TEXT_WIDTH,
    hunyuan_autoencoder,
    hunyuan_folder,
    hunyuan_transformer,
)

LLAMA = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128320,
}
CLIP = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


@pytest.mark.parametrize(
    "config", [{}, {"num_layers": 3, "mlp_ratio": 3.0, "guidance_embeds": False}, {"num_refiner_layers": 2}]
)
def test_parameters_of_transformers_are_counted_exactly(config: dict[str, Any]) -> None:
    transformer = hunyuan_transformer(**config)
    assert transformer_parameters(transformer.config) == count(transformer)


def test_parameters_of_the_published_model_are_counted_exactly() -> None:
    with torch.device("meta"):
        transformer = HunyuanVideoTransformer3DModel()
        autoencoder = AutoencoderKLHunyuanVideo()
        llama = LlamaModel(LlamaModel.config_class(**LLAMA))
        clip = CLIPTextModel(CLIPTextModel.config_class(**CLIP))
    assert transformer_parameters(transformer.config) == count(transformer)
    assert llama_parameters(LLAMA) == count(llama)
    assert clip_parameters(CLIP) == count(clip)
    assert count(autoencoder) == AUTOENCODER


def tiny_size(transformer: Any, vae: Any) -> ModelSize:
    configs = {"transformer": transformer.config, "vae": vae.config}
    size = hunyuan_size({**configs, "text_encoder": LLAMA, "text_encoder_2": CLIP})
    return replace(size, text_encoder=0, autoencoder=count(vae))


@pytest.mark.parametrize("profile", [SHARED, PROFILES[2]], ids=lambda profile: profile.name)
def test_bytes_of_weights_are_those_of_a_loaded_model(profile: Any) -> None:
    transformer = hunyuan_transformer()
    size = tiny_size(transformer, hunyuan_autoencoder())

    Fitting(profile, torch.device("cpu")).transformer(transformer)

    held = sum(parameter.nbytes for parameter in transformer.parameters())
    assert transformer_bytes(size, profile, full_bytes=4) == held


@pytest.mark.parametrize(
    "config", [{"mlp_ratio": 4.0}, {"mlp_ratio": 4.0, "num_attention_heads": 4}, {"num_attention_heads": 4}]
)
def test_what_denoising_holds_is_predicted_within_a_fifth(config: dict[str, Any]) -> None:
    transformer, vae = hunyuan_transformer(**config), hunyuan_autoencoder()
    shape = 16, 6, 32, 32
    size = replace(tiny_size(transformer, vae), caption_tokens=10)
    need = predicted_need(size, PROFILES[0], shape, guided=False, full_bytes=4)
    weights = 4 * (count(transformer) + count(vae)) + CONTEXT

    with torch.no_grad(), PeakBytes(transformer.parameters()) as held:
        transformer(
            torch.zeros(1, *shape),
            torch.tensor([500.0]),
            torch.zeros(1, 10, TEXT_WIDTH),
            torch.ones(1, 10),
            torch.zeros(1, POOLED_WIDTH),
            guidance=torch.tensor([6000.0]),
            return_dict=False,
        )

    assert need.stages["denoise"] - weights == pytest.approx(held.peak, rel=0.2)


@pytest.mark.parametrize(("frames", "side", "tile"), [(2, 8, None), (5, 12, None), (9, 8, None), (9, 20, 64)])
def test_what_decoding_holds_is_predicted_within_a_fifth(frames: int, side: int, tile: int | None) -> None:
    vae, transformer = hunyuan_autoencoder((4, 8, 16, 16)), hunyuan_transformer()
    codec, shape = HunyuanAutoencoder(vae), (16, frames, side, side)
    profile = replace(PROFILES[0], tile=tile)
    need = predicted_need(tiny_size(transformer, vae), profile, shape, full_bytes=4)
    weights = 4 * (count(transformer) + count(vae)) + CONTEXT
    Fitting(profile, torch.device("cpu")).autoencoder(vae)

    with PeakBytes(vae.parameters()) as held:
        for piece in codec.pieces(torch.zeros(shape)):
            assert piece.isfinite().all()

    assert need.stages["decode"] - weights == pytest.approx(held.peak, rel=0.2)


def test_a_film_with_it_is_predicted_before_it_is_loaded(folder: Path) -> None:
    size = model_size(find_here(str(folder)))
    assert size is not None
    assert size.latent_shape((64, 32), 9 / 24) == (16, 3, 4, 8)
    assert [need.profile for need in describe(str(folder)).needs] == [profile.name for profile in PROFILES]
    asked: dict[str, Any] = {
        "size": (128, 64),
        "seconds": 2.0,
        "memory": MemoryChoice(),
        "guided": False,
        "gpu": 24 * GIB,
        "main": 64 * GIB,
    }
    needs = render_needs(str(folder), context=(2.0, 2.0), **asked)
    alone = render_needs(str(folder), context=(), **asked)
    assert needs is not None
    assert alone is not None
    assert needs.chosen.profile.name == "24gb"
    assert needs.chosen.remembered > alone.chosen.remembered == 0
