"""The LoRA that is trained: low-rank factors beside frozen layers by PEFT, saved as diffusers saves them.

A file has `transformer.LAYER.lora_A.weight` (rank, inputs) and `.lora_B.weight` (outputs, rank) for each
layer, and the settings of the adapter, its scale among them, in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from moc_engine.files import atomic_file
from moc_engine.models.lora_checks import PREFIX, linear_layers
from moc_engine.training.tuning.recipe import TuningRecipe

METADATA: Final = "lora_adapter_metadata"
"""Where diffusers looks for the settings of an adapter."""


def add_lora(transformer: Any, recipe: TuningRecipe) -> tuple[str, ...]:
    """Adds factors in float32 beside the recipe's layers and freezes all else; the names of the layers.

    The first factors are drawn by the recipe's seed, the second are zero: nothing changes before a step.
    Raises `ValueError` for a target that no linear layer of the transformer is named by.
    """
    layers = linear_layers(transformer)
    for target in recipe.targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            raise ValueError(f"targets: the model has no linear layer named {target}")
    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        transformer.add_adapter(
            LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=sorted(recipe.targets))
        )
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return tuple(name for name in linear_layers(transformer) if _has_factors(transformer, name))


def _has_factors(transformer: Any, layer: str) -> bool:
    return hasattr(transformer.get_submodule(layer), "lora_A")


def lora_weights(transformer: Any) -> dict[str, Tensor]:
    """The factors of the trained LoRA under diffusers' names, as they are now."""
    state: Mapping[str, Tensor] = get_peft_model_state_dict(transformer, adapter_name="default")
    return {f"{PREFIX}{name}": tensor.detach() for name, tensor in state.items()}


def save_lora(
    transformer: nn.Module,
    file: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes the LoRA into a file, atomically: `weights` (None: those that it has now), in `dtype` if given.

    `weights` have the names of `lora_weights`. Raises `OSError` where the file cannot be written.
    """
    adapter: Any = transformer
    found = lora_weights(transformer) if weights is None else weights
    settings = {f"{PREFIX}{name}": value for name, value in _settings(adapter.peft_config["default"]).items()}
    tensors = {name: tensor.to("cpu", dtype or tensor.dtype).contiguous() for name, tensor in found.items()}
    with atomic_file(file) as part:
        save_file(tensors, part, {"format": "pt", METADATA: json.dumps(settings, indent=2, sort_keys=True)})


def _settings(config: LoraConfig) -> dict[str, Any]:
    """The settings of an adapter, in what JSON has: sets as lists, names of kinds as text."""
    told = config.to_dict()
    return {name: sorted(value) if isinstance(value, set) else value for name, value in told.items()}
