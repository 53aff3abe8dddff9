"""Reads LoRA files for Wan transformers through diffusers' converters, and checks that they fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import WanPipeline
from safetensors import SafetensorError, safe_open

from moc_engine.errors import EngineError
from moc_engine.lora_files import read_lora_file
from moc_engine.models.lora import LoraWeights

_PREFIX: Final = "transformer."

_IMAGE_LAYERS: Final = ("add_k_proj", "add_v_proj", "image_embedder")
"""Layers that only image-to-video models have."""


def read_lora(file: Path, transformer: Any) -> LoraWeights:
    """The weights of a file for a `WanTransformer3DModel`, without those for layers of images if it has none.

    Raises `EngineError` for a file that is no LoRA, or was made for a model of other layers.
    """
    read_lora_file(file)
    try:
        state, metadata = WanPipeline.lora_state_dict(
            str(file), use_safetensors=True, local_files_only=True, return_lora_metadata=True
        )
        with safe_open(file, framework="pt") as stream:
            names = list(stream.keys())
    except (SafetensorError, OSError) as error:
        raise EngineError(f"the LoRA {file.name} is damaged: {error}") from error
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise EngineError(
            f"the LoRA {file.name} cannot be converted: it is not complete, or has keys that are not known "
            f"({error})"
        ) from error
    layers = _layers(transformer)
    left_out = [key for key in state if _layer(key) not in layers and _is_of_images(key)]
    fitting = {key: value for key, value in state.items() if key not in left_out}
    _check_fit(file, fitting, layers)
    return LoraWeights(
        state=_with_all_biases(fitting),
        metadata=_own(metadata),
        left_out=(*_told_images(left_out), *_told_differences(names)),
    )


def _check_fit(file: Path, state: Mapping[str, torch.Tensor], layers: Mapping[str, Any]) -> None:
    unknown = sorted({_layer(key) for key in state} - layers.keys())
    if unknown:
        raise EngineError(
            f"the LoRA {file.name} was made for another model: this one has no layer {unknown[0]}"
            + (f", nor {len(unknown) - 1} further ones" if len(unknown) > 1 else "")
        )
    if not state:
        raise EngineError(f"the LoRA {file.name} has nothing for any layer of this model")
    for key, factor in state.items():
        layer = layers[_layer(key)]
        down = ".lora_A." in key
        width = layer.in_features if down else layer.out_features
        found = factor.shape[1] if down else factor.shape[0]
        if found != width:
            raise EngineError(
                f"the LoRA {file.name} was made for another model: its layer {_layer(key)} has a width of "
                f"{found}, this model's {width}"
            )


def _with_all_biases(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, with biases of 0 for layers without one where others have one: PEFT wants all or none."""
    biases = {
        key.removesuffix("weight") + "bias": up.new_zeros(len(up))
        for key, up in state.items()
        if key.endswith(".lora_B.weight")
    }
    return {**biases, **state} if any(key in state for key in biases) else dict(state)


def _layers(transformer: Any) -> dict[str, Any]:
    """The linear layers by name, also where adapters stand before them."""
    return {
        name.removesuffix(".base_layer"): module
        for name, module in transformer.named_modules()
        if hasattr(module, "in_features") and ".lora_" not in name
    }


def _layer(key: str) -> str:
    return key.removeprefix(_PREFIX).partition(".lora_")[0]


def _is_of_images(key: str) -> bool:
    return any(layer in key for layer in _IMAGE_LAYERS)


def _own(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the file's metadata says of the transformer's adapter; None where it says nothing."""
    own = {key: value for key, value in (metadata or {}).items() if key.startswith(_PREFIX)}
    return own or None


def _told_images(left_out: Iterable[str]) -> list[str]:
    layers = {_layer(key) for key in left_out}
    return [f"{len(layers)} layers for images, which this model has not"] if layers else []


def _told_differences(names: Iterable[str]) -> list[str]:
    """Whole differences of norms, which diffusers leaves out; those of biases (`diff_b`) are added."""
    dropped = [name for name in names if name.endswith(".diff") and "head.head" not in name]
    dropped += [name for name in names if name.endswith(".diff_b") and "norm" in name]
    return [f"{len(dropped)} differences of norms"] if dropped else []
