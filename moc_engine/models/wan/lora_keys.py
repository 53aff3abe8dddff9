"""Reads LoRA files for Wan transformers through diffusers' converters, and checks that they fit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from diffusers import WanPipeline

from moc_engine.models.lora import LoraWeights
from moc_engine.models.lora_checks import (
    checked_weights,
    converted_by_diffusers,
    layer_of,
    linear_layers,
    tensor_names,
)
from moc_engine.models.wan.lora_fit import check_lora, is_of_images


def read_lora(file: Path, transformer: Any) -> LoraWeights:
    """The weights of a file for a `WanTransformer3DModel`, without those for layers of images if it has none.

    Raises `EngineError` for a file that is no LoRA, or was made for a model of other layers.
    """
    layers = linear_layers(transformer)
    check_lora(file, {name: (layer.out_features, layer.in_features) for name, layer in layers.items()})
    state, metadata = converted_by_diffusers(file, WanPipeline)
    left_out = [key for key in state if layer_of(key) not in layers and is_of_images(key)]
    fitting = {key: value for key, value in state.items() if key not in left_out}
    told = (*_told_images(left_out), *_told_differences(tensor_names(file)))
    return checked_weights(file, fitting, metadata, layers, told)


def _told_images(left_out: Iterable[str]) -> list[str]:
    layers = {layer_of(key) for key in left_out}
    return [f"{len(layers)} layers for images, which this model has not"] if layers else []


def _told_differences(names: Iterable[str]) -> list[str]:
    """Whole differences of norms, which diffusers leaves out; those of biases (`diff_b`) are added."""
    dropped = [name for name in names if name.endswith(".diff") and "head.head" not in name]
    dropped += [name for name in names if name.endswith(".diff_b") and "norm" in name]
    return [f"{len(dropped)} differences of norms"] if dropped else []
