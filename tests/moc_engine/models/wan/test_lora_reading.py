"""LoRA files beyond what diffusers' converter reads, and such for other models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from moc_engine.errors import EngineError
from moc_engine.models.wan.lora_reading import read_lora
from tests.fakes.loras import comfyui_keys, diffusers_keys, factors, kohya_keys, save_lora
from tests.fakes.models import tiny_transformer

Keys = Callable[[Mapping[str, tuple[Tensor, Tensor]]], dict[str, Tensor]]


def renamed(state: Mapping[str, Tensor], pattern: str, to: str) -> dict[str, Tensor]:
    return {re.sub(pattern, to, key): value for key, value in state.items()}


LAYOUTS: Mapping[str, Keys] = {
    "PEFT alone": lambda parts: renamed(diffusers_keys(parts), "^transformer", "base_model.model"),
    "no prefix, with the adapter's name": lambda parts: renamed(
        renamed(comfyui_keys(parts), r"^diffusion_model\.", ""), r"(lora_[AB])\.", r"\1.default."
    ),
    "whole checkpoints": lambda parts: renamed(comfyui_keys(parts), "^", "model."),
    "kohya with two underscores": lambda parts: renamed(kohya_keys(parts, 3.0), "^lora_unet_", "lora_unet__"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_names_are_the_same_lora(tmp_path: Path, layout: str) -> None:
    transformer = tiny_transformer()
    parts = factors(transformer)
    wanted = read_lora(save_lora(tmp_path / "a.safetensors", diffusers_keys(parts)), transformer).state
    found = read_lora(save_lora(tmp_path / "b.safetensors", LAYOUTS[layout](parts)), transformer)
    assert found.state.keys() == wanted.keys()
    assert all(torch.equal(found.state[key], wanted[key]) for key in wanted)
    assert found.left_out == ()


def test_factors_in_8_bits_are_expanded(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    whole = kohya_keys(factors(transformer), alpha=1.5)
    small = {key: value.to(torch.float8_e4m3fn) for key, value in whole.items()}
    wanted = {key: value.to(torch.bfloat16) for key, value in small.items()}
    read = read_lora(save_lora(tmp_path / "fp8.safetensors", small), transformer).state
    same = read_lora(save_lora(tmp_path / "bf16.safetensors", wanted), transformer).state
    assert read.keys() == same.keys()
    assert all(torch.equal(read[key], same[key]) for key in same)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("alpha", torch.ones(2)),
        ("diff", torch.tensor(1.0)),
        ("diff_b", torch.ones(7)),
        ("lora_down.weight", torch.ones(0, 24)),
    ],
)
def test_a_lora_that_cannot_be_converted_is_told(tmp_path: Path, tensor: str, value: Tensor) -> None:
    transformer = tiny_transformer()
    layer = "diffusion_model.blocks.0.self_attn.q"
    state = {
        f"{layer}.lora_down.weight": torch.ones(2, 24),
        f"{layer}.lora_up.weight": torch.ones(24, 2),
        f"{layer}.lora_B.bias": torch.ones(24),
        f"{layer}.alpha": torch.tensor(2.0),
        f"{layer}.{tensor}": value,
    }
    file = save_lora(tmp_path / "odd.safetensors", state)
    with pytest.raises(
        EngineError, match=r"the LoRA .*odd\.safetensors (cannot be converted|is damaged|is no LoRA)"
    ):
        read_lora(file, transformer)


def test_a_lora_of_a_few_layers_is_read(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    few = {name: pair for name, pair in factors(transformer).items() if "blocks.1.attn1" in name}
    file = save_lora(tmp_path / "few.safetensors", kohya_keys(few, alpha=1.5))
    state = read_lora(file, transformer).state
    assert {key.split(".lora_")[0] for key in state} == {f"transformer.{name}" for name in few}
    down, up = few["blocks.1.attn1.to_q"]
    assert torch.equal(state["transformer.blocks.1.attn1.to_q.lora_A.weight"], down * 0.5)
    assert torch.equal(state["transformer.blocks.1.attn1.to_q.lora_B.weight"], up)


def test_whole_differences_are_added_in_full_rank(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    layer = "diffusion_model.blocks.0.ffn.2"
    whole, bias = torch.randn(24, 32), torch.randn(24)
    down, up = torch.randn(2, 32), torch.randn(24, 2)
    state = {
        f"{layer}.diff": whole,
        f"{layer}.diff_b": bias,
        f"{layer}.lora_down.weight": down,
        f"{layer}.lora_up.weight": up,
        "diffusion_model.time_projection.1.diff_b": torch.ones(6 * 24),
    }
    read = read_lora(save_lora(tmp_path / "whole.safetensors", state), transformer).state
    name = "transformer.blocks.0.ffn.net.2"
    product = read[f"{name}.lora_B.weight"] @ read[f"{name}.lora_A.weight"]
    assert torch.allclose(product, whole + up @ down, atol=1e-5)
    assert torch.equal(read[f"{name}.lora_B.bias"], bias)
    time = "transformer.condition_embedder.time_proj"
    assert not (read[f"{time}.lora_B.weight"] @ read[f"{time}.lora_A.weight"]).any()
    assert torch.equal(read[f"{time}.lora_B.bias"], torch.ones(6 * 24))


def test_differences_that_cannot_be_added_are_told_unless_they_are_nothing(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    state = comfyui_keys(factors(transformer))
    state["diffusion_model.blocks.0.self_attn.norm_q.diff"] = torch.zeros(24)
    state["diffusion_model.blocks.1.norm3.diff_b"] = torch.ones(24)
    state["diffusion_model.patch_embedding.diff"] = torch.ones(24, 4, 1, 2, 2)
    read = read_lora(save_lora(tmp_path / "norms.safetensors", state), transformer)
    assert read.left_out == ("2 differences of norms",)


def test_a_lora_for_a_larger_model_is_named(tmp_path: Path) -> None:
    layer = "diffusion_model.blocks.0.self_attn.q"
    state = {f"{layer}.lora_A.weight": torch.zeros(1, 5120), f"{layer}.lora_B.weight": torch.zeros(5120, 1)}
    small = tiny_transformer(num_attention_heads=12, attention_head_dim=128, num_layers=1)
    words = r"made for another model \(Wan 2\.1 T2V 14B.*\): its layer .* has 5120 inputs .* model's 1536"
    with pytest.raises(EngineError, match=words):
        read_lora(save_lora(tmp_path / "x.safetensors", state), small)


def test_what_does_not_go_together_is_told(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    parts = factors(transformer)
    others = renamed(diffusers_keys(factors(transformer, seed=1)), "^transformer", "base_model.model")
    both = {**diffusers_keys(parts), **others}
    twice = save_lora(tmp_path / "both.safetensors", both)
    with pytest.raises(EngineError, match=r"twice, as one for two transformers has: split it"):
        read_lora(twice, transformer)
    odd = {**diffusers_keys(parts), "transformer.blocks.0.attn1.to_q.lora_A.weight": torch.zeros(2, 24)}
    with pytest.raises(EngineError, match=r"the factors of blocks\.0\.attn1\.to_q do not go together"):
        read_lora(save_lora(tmp_path / "odd.safetensors", odd), transformer)
    strange = {**comfyui_keys(parts), "diffusion_model.blocks.0.ffn.2.lora_mid.weight": torch.zeros(2, 2)}
    with pytest.raises(EngineError, match=r"a tensor that is not known: .*lora_mid"):
        read_lora(save_lora(tmp_path / "conv.safetensors", strange), transformer)
