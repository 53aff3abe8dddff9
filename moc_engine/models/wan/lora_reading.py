"""Reads LoRA files for Wan transformers: the factors of each layer, compared with the layers of the model.

A difference of a whole weight is a LoRA of full rank; differences of biases are added as the biases of PEFT's
adapters are. What cannot be added so, such as differences of norms, is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from torch import Tensor

from moc_engine.errors import EngineError
from moc_engine.models.lora import LoraWeights
from moc_engine.models.lora_checks import PREFIX, checked_weights, linear_layers, reading_lora
from moc_engine.models.wan.lora_fit import check_lora, is_of_images
from moc_engine.models.wan.lora_keys import Factor, lora_key

_METADATA: Final = "lora_adapter_metadata"
"""Where diffusers writes the settings of an adapter, such as its scale."""

Factors = dict[Factor, Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tensors:
    """The tensors of a file by layer, and what it says of its ranks and scales."""

    layers: Mapping[str, Factors]
    metadata: Mapping[str, Any]


def read_lora(file: Path, transformer: Any) -> LoraWeights:
    """The weights of a file for a Wan transformer, without those for layers of images if it has none.

    Raises `EngineError` for a file that is no LoRA, or was made for a model of other layers.
    """
    linear = linear_layers(transformer)
    check_lora(file, {name: (layer.out_features, layer.in_features) for name, layer in linear.items()})
    read = _read(file)
    state: dict[str, Tensor] = {}
    of_images, differences = 0, 0
    for name, factors in read.layers.items():
        if name not in linear and is_of_images(name):
            of_images += 1
        elif name not in linear and not {"down", "up"} & factors.keys():
            differences += sum(bool(tensor.any()) for tensor in factors.values())
        else:
            with reading_lora(file):
                state |= _of_layer(file, name, factors, linear.get(name))
    return checked_weights(file, state, read.metadata, linear, tuple(_told(of_images, differences)))


def _read(file: Path) -> _Tensors:
    layers: dict[str, Factors] = {}
    with reading_lora(file), safe_open(file, framework="pt") as stream:
        metadata = dict(json.loads((stream.metadata() or {}).get(_METADATA, "{}")))
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  (no mapping)
    for name, tensor in tensors.items():
        key = lora_key(name)
        if key is None:
            raise EngineError(f"the LoRA {file.name} has a tensor that is not known: {name}")
        factors = layers.setdefault(key.layer, {})
        if key.factor in factors:
            raise EngineError(
                f"the LoRA {file.name} has weights for {key.layer} twice, as one for two transformers has: "
                "split it into a file for each"
            )
        eight_bits = tensor.is_floating_point() and tensor.element_size() == 1
        factors[key.factor] = (
            tensor.to(torch.bfloat16) if eight_bits else tensor
        )  # which can be computed with
    return _Tensors(layers=layers, metadata=metadata)


def _of_layer(file: Path, name: str, factors: Factors, layer: Any) -> dict[str, Tensor]:
    """The factors of one layer under the names of PEFT, scales and whole differences in them."""
    down, up, whole = factors.get("down"), factors.get("up"), factors.get("whole")
    pairs: list[tuple[Tensor, Tensor]] = []
    if down is not None and up is not None:
        alpha = factors.get("alpha")
        pairs.append((down if alpha is None else down * (alpha.item() / down.shape[0]), up))
    if whole is not None:
        pairs.append((whole, torch.eye(len(whole), dtype=whole.dtype)))
    biases = [factors[kind] for kind in ("up_bias", "bias") if kind in factors]
    if not pairs and biases:
        pairs.append((biases[0].new_zeros(1, layer.in_features), biases[0].new_zeros(len(biases[0]), 1)))
    if not pairs:  # a scale alone
        return {}
    if any(one.dim() != 2 or other.dim() != 2 or len(one) != other.shape[1] for one, other in pairs):
        raise EngineError(f"the LoRA {file.name} is damaged: the factors of {name} do not go together")
    made = {
        f"{PREFIX}{name}.lora_A.weight": torch.cat([one for one, _ in pairs]),
        f"{PREFIX}{name}.lora_B.weight": torch.cat([other for _, other in pairs], dim=1),
    }
    return {**made, **({f"{PREFIX}{name}.lora_B.bias": sum(biases[1:], biases[0])} if biases else {})}


def _told(of_images: int, differences: int) -> Iterator[str]:
    if of_images:
        yield f"{of_images} layers for images, which this model has not"
    if differences:
        yield f"{differences} differences of norms"
