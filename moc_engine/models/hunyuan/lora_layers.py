"""Reads LoRA files for HunyuanVideo's transformer, and checks that they fit.

Those with diffusers' names are read by its converter. Those with the names of the original release (ComfyUI,
diffusion-pipe, kohya's musubi-tuner) are converted here: diffusers' converter knows neither kohya's names and
alphas nor files without double-stream blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import HunyuanVideoPipeline
from safetensors.torch import load_file
from torch import Tensor

from moc_engine.lora_files import read_lora_file
from moc_engine.models.hunyuan.original_names import SWAPPED, modules_of, without_prefix
from moc_engine.models.lora import LoraWeights
from moc_engine.models.lora_checks import (
    PREFIX,
    checked_weights,
    converted_by_diffusers,
    linear_layers,
    reading_lora,
    tensor_names,
)

_KEY: Final = re.compile(
    r"(?P<module>.+?)\.(?:(?P<down>lora_A|lora_down)|(?P<up>lora_B|lora_up)|alpha)(?:\.default)?(?:\.weight)?"
)


def read_lora(file: Path, transformer: Any) -> LoraWeights:
    """The weights of a file for a `HunyuanVideoTransformer3DModel`.

    Raises `EngineError` for a file that is no LoRA, or was made for a model of other layers.
    """
    read_lora_file(file)
    layers = linear_layers(transformer)
    if not any(re.match(r"(double|single)_blocks[._]", without_prefix(name)) for name in tensor_names(file)):
        state, metadata = converted_by_diffusers(file, HunyuanVideoPipeline)
        return checked_weights(file, state, metadata, layers)
    with reading_lora(file):
        converted = _of_original(load_file(file), layers)
    return checked_weights(file, converted, None, layers)


def _of_original(state: Mapping[str, Tensor], layers: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights under diffusers' names, those of alphas multiplied into the factors."""
    factors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        key = _KEY.fullmatch(without_prefix(name))
        if key is None:
            raise KeyError(name)
        kind = "down" if key["down"] else "up" if key["up"] else "alpha"
        factors.setdefault(key["module"], {})[kind] = tensor
    converted: dict[str, Tensor] = {}
    for module, of_module in factors.items():
        names = modules_of(module)
        if not names:
            raise KeyError(module)
        down, up = of_module["down"], of_module["up"]
        if "alpha" in of_module:
            up = up * (float(of_module["alpha"]) / len(down))
        for layer, rows in zip(names, _split(up, names, layers), strict=True):
            converted[f"{PREFIX}{layer}.lora_A.weight"] = down
            converted[f"{PREFIX}{layer}.lora_B.weight"] = rows
    return converted


def _split(up: Tensor, names: tuple[str, ...], layers: Mapping[str, Any]) -> list[Tensor]:
    """The rows of each layer, which lie one after another."""
    if names == (SWAPPED,):
        shift, scale = up.chunk(2)
        return [torch.cat((scale, shift))]
    widths = [layers[name].out_features for name in names if name in layers]
    if len(names) == 1 or sum(widths) != len(up):  # one that does not fit is told of by its layer
        return list(up.chunk(len(names)))
    return list(up.split(widths))
