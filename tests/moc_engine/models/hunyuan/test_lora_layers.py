"""LoRAs under the names that trainers write, against diffusers' own loading and against merged weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import HunyuanVideoPipeline, HunyuanVideoTransformer3DModel
from torch import Tensor

from moc_engine.contract import Lora
from moc_engine.errors import EngineError
from moc_engine.models.hunyuan.lora_layers import read_lora
from moc_engine.models.lora import LoraAdapters
from tests.fakes.hunyuan_folder import POOLED_WIDTH, TEXT_WIDTH, hunyuan_transformer
from tests.fakes.loras import diffusers_keys, factors, save_lora

WIDTH, MLP, RANK = 32, 64, 3

LAYERS: dict[str, tuple[int, int]] = {
    "double_blocks.0.img_attn_qkv": (WIDTH, 3 * WIDTH),
    "double_blocks.0.img_attn_proj": (WIDTH, WIDTH),
    "double_blocks.1.img_mlp.fc1": (WIDTH, MLP),
    "double_blocks.1.img_mlp.fc2": (MLP, WIDTH),
    "double_blocks.1.img_mod.linear": (WIDTH, 6 * WIDTH),
    "double_blocks.1.txt_attn_qkv": (WIDTH, 3 * WIDTH),
    "double_blocks.1.txt_attn_proj": (WIDTH, WIDTH),
    "double_blocks.0.txt_mlp.fc1": (WIDTH, MLP),
    "double_blocks.0.txt_mlp.fc2": (MLP, WIDTH),
    "double_blocks.0.txt_mod.linear": (WIDTH, 6 * WIDTH),
    "single_blocks.1.linear2": (WIDTH + MLP, WIDTH),
    "single_blocks.0.modulation.linear": (WIDTH, 3 * WIDTH),
}
"""Layers of the original release, widths in and out, as diffusers converts them at any width."""

FUSED = {"single_blocks.0.linear1": (WIDTH, 3 * WIDTH + MLP)}
"""A layer that diffusers converts at the published width alone."""

COMFYUI = {
    "img_attn_qkv": "img_attn.qkv",
    "img_attn_proj": "img_attn.proj",
    "img_mlp.fc1": "img_mlp.0",
    "img_mlp.fc2": "img_mlp.2",
    "img_mod.linear": "img_mod.lin",
    "txt_attn_qkv": "txt_attn.qkv",
    "modulation.linear": "modulation.lin",
}


def original(layers: Mapping[str, tuple[int, int]], rank: int = RANK) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(5)
    return {
        name: (
            torch.randn(rank, inputs, generator=generator) * 0.3,
            torch.randn(outputs, rank, generator=generator) * 0.3,
        )
        for name, (inputs, outputs) in layers.items()
    }


def keys(
    parts: Mapping[str, tuple[Tensor, Tensor]],
    prefix: str,
    names: tuple[str, str] = ("lora_A", "lora_B"),
    alpha: float | None = None,
) -> dict[str, Tensor]:
    state = {}
    for name, (down, up) in parts.items():
        name = name.replace(".", "_") if prefix == "lora_unet_" else name
        state[f"{prefix}{name}.{names[0]}.weight"] = down
        state[f"{prefix}{name}.{names[1]}.weight"] = up
        if alpha is not None:
            state[f"{prefix}{name}.alpha"] = torch.tensor(alpha)
    return state


def predicted(transformer: Any) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        out: Tensor = transformer(
            torch.randn(1, 16, 2, 4, 4, generator=generator),
            torch.tensor([500.0]),
            torch.randn(1, 5, TEXT_WIDTH, generator=generator),
            torch.ones(1, 5),
            torch.randn(1, POOLED_WIDTH, generator=generator),
            guidance=torch.tensor([6000.0]),
            return_dict=False,
        )[0]
    return out


def of_diffusers(file: Path, weight: float) -> Tensor:
    """What diffusers' own pipeline predicts with the LoRA."""
    transformer = hunyuan_transformer()
    pipeline = HunyuanVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        tokenizer_2=None,
        text_encoder_2=None,
        vae=None,
        scheduler=None,
        transformer=transformer,
    )
    pipeline.load_lora_weights(str(file), adapter_name="one")
    pipeline.set_adapters(["one"], [weight])
    return predicted(transformer)


def with_lora(file: Path, weight: float = 1.0) -> Tensor:
    transformer = hunyuan_transformer()
    LoraAdapters({"high": transformer}, read_lora).use([Lora(source=str(file), weight=weight)])
    return predicted(transformer)


@pytest.mark.parametrize(
    "state",
    [
        lambda: diffusers_keys(factors(hunyuan_transformer())),
        lambda: keys(original(LAYERS), "diffusion_model."),
        lambda: keys(original(LAYERS), "transformer."),
        lambda: keys(original(LAYERS), ""),
    ],
    ids=["diffusers", "comfyui", "diffusion-pipe", "original"],
)
def test_equals_diffusers_in_every_layout(state: Any, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "look.safetensors", state())
    ours = with_lora(file, 0.7)
    assert torch.equal(ours, of_diffusers(file, 0.7))
    assert not torch.allclose(ours, predicted(hunyuan_transformer()), atol=1e-3)


@pytest.mark.parametrize("prefix", ["lora_unet_", "diffusion_model."])
@pytest.mark.parametrize("layers", [{**LAYERS, **FUSED}, FUSED], ids=["both blocks", "single blocks alone"])
def test_alphas_and_fused_layers_change_the_weights_they_are_of(
    prefix: str, layers: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    parts = original(layers)
    state = keys(parts, prefix, ("lora_down", "lora_up"), alpha=1.5)
    file = save_lora(tmp_path / "look.safetensors", state)
    merged = hunyuan_transformer()
    with torch.no_grad():
        for name, (down, up) in parts.items():
            _add(merged, name, up @ down * (1.5 / RANK))

    torch.testing.assert_close(with_lora(file), predicted(merged), atol=1e-5, rtol=1e-4)


def _add(transformer: HunyuanVideoTransformer3DModel, name: str, change: Tensor) -> None:
    """Adds a change of a layer of the original release to the layers of diffusers, told one by one."""
    kind, number, layer = name.split(".", 2)
    double = kind == "double_blocks"
    block: Any = (transformer.transformer_blocks if double else transformer.single_transformer_blocks)[
        int(number)
    ]
    qkv = [block.attn.to_q, block.attn.to_k, block.attn.to_v]
    if double:
        added = [block.attn.add_q_proj, block.attn.add_k_proj, block.attn.add_v_proj]
        targets = {
            "img_attn_qkv": qkv,
            "img_attn_proj": [block.attn.to_out[0]],
            "img_mlp.fc1": [block.ff.net[0].proj],
            "img_mlp.fc2": [block.ff.net[2]],
            "img_mod.linear": [block.norm1.linear],
            "txt_attn_qkv": added,
            "txt_attn_proj": [block.attn.to_add_out],
            "txt_mlp.fc1": [block.ff_context.net[0].proj],
            "txt_mlp.fc2": [block.ff_context.net[2]],
            "txt_mod.linear": [block.norm1_context.linear],
        }[layer]
    else:
        targets = {
            "linear1": [*qkv, block.proj_mlp],
            "linear2": [block.proj_out],
            "modulation.linear": [block.norm.linear],
        }[layer]
    first = 0
    for target in targets:
        target.weight += change[first : first + len(target.weight)]
        first += len(target.weight)


def test_fused_layers_are_split_as_diffusers_does_at_the_published_width(tmp_path: Path) -> None:
    with torch.device("meta"):
        published = HunyuanVideoTransformer3DModel(num_layers=1, num_single_layers=1, num_refiner_layers=1)
    parts = original(
        {"double_blocks.0.img_attn_qkv": (3072, 9216), "single_blocks.0.linear1": (3072, 21504)}, rank=1
    )
    file = save_lora(tmp_path / "look.safetensors", keys(parts, "diffusion_model."))
    theirs = HunyuanVideoPipeline.lora_state_dict(str(file))

    ours = read_lora(file, published).state

    assert ours.keys() == theirs.keys()
    assert len(ours) == 14
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())


def test_spellings_of_comfyui_are_the_same_layers(tmp_path: Path) -> None:
    parts = original(LAYERS)
    renamed = {}
    for name, pair in parts.items():
        block, layer = name.rsplit(".", 1) if name.endswith(("qkv", "proj")) else _last_two(name)
        renamed[f"{block}.{COMFYUI.get(layer, layer)}"] = pair
    assert renamed.keys() != parts.keys()
    one = save_lora(tmp_path / "one.safetensors", keys(parts, "diffusion_model."))
    other = save_lora(tmp_path / "other.safetensors", keys(renamed, "diffusion_model."))
    assert torch.equal(with_lora(one), with_lora(other))


def _last_two(name: str) -> tuple[str, str]:
    kind, number, layer = name.split(".", 2)
    return f"{kind}.{number}", layer


def test_files_that_do_not_fit_are_refused_in_words(tmp_path: Path) -> None:
    wide = original({"double_blocks.0.img_attn_qkv": (48, 144)})
    file = save_lora(tmp_path / "wide.safetensors", keys(wide, "diffusion_model."))
    with pytest.raises(EngineError, match=r"made for another model: its layer transformer_blocks\.0\.attn"):
        with_lora(file)
    deep = original({"double_blocks.7.img_attn_proj": (WIDTH, WIDTH)})
    file = save_lora(tmp_path / "deep.safetensors", keys(deep, "diffusion_model."))
    with pytest.raises(EngineError, match=r"no layer transformer_blocks\.7\.attn\.to_out\.0"):
        with_lora(file)
    of_wan = {"diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.ones(2, 4)}
    file = save_lora(tmp_path / "wan.safetensors", of_wan)
    with pytest.raises(EngineError, match="made for another model"):
        with_lora(file)
    half = keys(original(LAYERS), "lora_unet_", ("lora_down", "lora_up"))
    del half["lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight"]
    with pytest.raises(EngineError, match="cannot be converted: it is not complete"):
        with_lora(save_lora(tmp_path / "half.safetensors", half))
    strange = {**keys(original(LAYERS), ""), "double_blocks.0.img_attn_qkv.diff": torch.ones(2)}
    with pytest.raises(EngineError, match="has keys that are not known"):
        with_lora(save_lora(tmp_path / "strange.safetensors", strange))
    empty = keys(original({"double_blocks.0.img_attn_qkv": (WIDTH, 3 * WIDTH)}, rank=0), "", alpha=4.0)
    with pytest.raises(EngineError, match="cannot be converted"):
        with_lora(save_lora(tmp_path / "empty.safetensors", empty))
