"""The keys of LoRA files for Wan, by the layer of diffusers' transformer that each is for.

    "lora_unet_blocks_0_ffn_2.lora_down.weight" ─► LoraKey(layer="blocks.0.ffn.net.2", factor="down")

Trainers name layers as diffusers does or as the original release, with the prefix of a program or none, with
dots or, as kohya's do, with "_" throughout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from moc_engine.models.wan.tensor_names import transformer_name

Factor = Literal["down", "up", "up_bias", "alpha", "whole", "bias"]
"""What a tensor is of its layer: a low-rank factor, its bias, its scale, or the whole difference of the
weight or bias."""

_FACTORS: Final[Mapping[str, Factor]] = {
    "lora_A.weight": "down",
    "lora_A.default.weight": "down",
    "lora_down.weight": "down",
    "lora.down.weight": "down",
    "lora_B.weight": "up",
    "lora_B.default.weight": "up",
    "lora_up.weight": "up",
    "lora.up.weight": "up",
    "lora_B.bias": "up_bias",
    "lora_B.default.bias": "up_bias",
    "alpha": "alpha",
    "diff": "whole",
    "diff_b": "bias",
}

_PREFIXES: Final = ("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.")

_KOHYA: Final = re.compile(r"lora_unet_{1,2}(?P<block>(?:vace_)?blocks_\d+_)?(?P<layer>\w+)")

_OF_BLOCK: Final = {
    **{f"{kind}_attn_{part}": f"{kind}_attn.{part}" for kind in ("self", "cross") for part in "qkvo"},
    **{f"cross_attn_{part}_img": f"cross_attn.{part}_img" for part in "kv"},
    "ffn_0": "ffn.0",
    "ffn_2": "ffn.2",
    "before_proj": "before_proj",
    "after_proj": "after_proj",
}
_OF_MODEL: Final = {
    **{f"{kind}_embedding_{n}": f"{kind}_embedding.{n}" for kind in ("text", "time") for n in (0, 2)},
    **{f"img_emb_proj_{n}": f"img_emb.proj.{n}" for n in (1, 3)},
    "time_projection_1": "time_projection.1",
    "head_head": "head.head",
    "patch_embedding": "patch_embedding",
}
"""Layers as kohya's trainers name them, and as the original release does."""


@dataclass(frozen=True)
class LoraKey:
    """Which layer of diffusers' transformer a tensor is for, and what it is of it."""

    layer: str
    factor: Factor


def lora_key(name: str) -> LoraKey | None:
    """What a tensor of a LoRA file is; None for one that is no part of a LoRA."""
    suffix = next((suffix for suffix in _FACTORS if name.endswith(f".{suffix}")), None)
    if suffix is None:
        return None
    module = name.removesuffix(f".{suffix}")
    layer = transformer_name(f"{_original(module)}.weight").removesuffix(".weight")
    return LoraKey(layer, _FACTORS[suffix])


def _original(module: str) -> str:
    """The name of a layer without its prefix, with dots."""
    found = _KOHYA.fullmatch(module)
    if found is not None:
        block, layer = found["block"] or "", found["layer"]
        number = re.fullmatch(r"(\w+)_(\d+)_", block)
        path = "" if number is None else f"{number[1]}.{number[2]}."
        return path + (_OF_BLOCK if block else _OF_MODEL).get(layer, layer)
    for prefix in _PREFIXES:
        module = module.removeprefix(prefix)
    return module
