"""LoRA files with random weights, under the keys that trainers write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

COMFYUI: Final = {
    "attn1.to_q": "self_attn.q",
    "attn1.to_k": "self_attn.k",
    "attn1.to_v": "self_attn.v",
    "attn1.to_out.0": "self_attn.o",
    "attn2.to_q": "cross_attn.q",
    "attn2.to_k": "cross_attn.k",
    "attn2.to_v": "cross_attn.v",
    "attn2.to_out.0": "cross_attn.o",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
"""Layers of a block as diffusers calls them, and as ComfyUI and the original checkpoints do."""


def factors(transformer: Any, *, rank: int = 3, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """Low-rank factors, down and up, for all linear layers of the blocks."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name.removesuffix(".base_layer"): (
            torch.randn(rank, layer.in_features, generator=generator) * 0.3,
            torch.randn(layer.out_features, rank, generator=generator) * 0.3,
        )
        for name, layer in transformer.named_modules()
        if "blocks." in name and type(layer) is torch.nn.Linear and ".lora_" not in name
    }


def diffusers_keys(parts: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """As `save_lora_weights` of diffusers writes them."""
    state = {}
    for name, (down, up) in parts.items():
        state[f"transformer.{name}.lora_A.weight"] = down
        state[f"transformer.{name}.lora_B.weight"] = up
    return state


def comfyui_keys(
    parts: Mapping[str, tuple[Tensor, Tensor]],
    *,
    names: Sequence[str] = ("lora_A", "lora_B"),
    alpha: float | None = None,
) -> dict[str, Tensor]:
    """As files for ComfyUI have them, with `alpha` where given."""
    state = {}
    for name, (down, up) in parts.items():
        key = f"diffusion_model.{_original(name)}"
        state[f"{key}.{names[0]}.weight"] = down
        state[f"{key}.{names[1]}.weight"] = up
        if alpha is not None:
            state[f"{key}.alpha"] = torch.tensor(alpha)
    return state


def kohya_keys(parts: Mapping[str, tuple[Tensor, Tensor]], alpha: float) -> dict[str, Tensor]:
    """As kohya's trainers write them."""
    state = {}
    for name, (down, up) in parts.items():
        key = "lora_unet_" + _original(name).replace(".", "_")
        state[f"{key}.lora_down.weight"] = down
        state[f"{key}.lora_up.weight"] = up
        state[f"{key}.alpha"] = torch.tensor(alpha)
    return state


def save_lora(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, path, dict(metadata or {}))
    return path


def _original(name: str) -> str:
    _, number, layer = name.split(".", 2)
    return f"blocks.{number}.{COMFYUI[layer]}"
