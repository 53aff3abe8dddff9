"""Checks the weights of LoRA files against a transformer, whatever names they had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from moc_engine.errors import EngineError
from moc_engine.models.lora import LoraWeights
from moc_engine.models.memory_errors import is_out_of_memory

PREFIX: Final = "transformer."


def converted_by_diffusers(
    file: Path, pipeline: Any
) -> tuple[dict[str, torch.Tensor], Mapping[str, Any] | None]:
    """The weights under diffusers' names, and the file's metadata, by the converter of a `pipeline` class.

    Raises `EngineError` for a file that is damaged, or whose keys the converter does not know.
    """
    with reading_lora(file):
        state, metadata = pipeline.lora_state_dict(
            str(file), use_safetensors=True, local_files_only=True, return_lora_metadata=True
        )
    return state, metadata


def tensor_names(file: Path) -> list[str]:
    """The names of the tensors of a file. Raises `EngineError` for one that is damaged."""
    with reading_lora(file), safe_open(file, framework="pt") as stream:
        return list(stream.keys())


@contextmanager
def reading_lora(file: Path) -> Iterator[None]:
    """Turns the errors of reading and converting a file into words."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise EngineError(f"the LoRA {file.name} is damaged: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise EngineError(
            f"the LoRA {file.name} cannot be converted: it is not complete, or has keys that are not known "
            f"({error})"
        ) from error


def checked_weights(
    file: Path,
    state: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any] | None,
    layers: Mapping[str, Any],
    left_out: Sequence[str] = (),
) -> LoraWeights:
    """The weights of a file, which must fit the `layers` of a transformer.

    `left_out` says in words what of the file is not among them. Raises `EngineError` for a file that was made
    for a model of other layers.
    """
    unknown = sorted({layer_of(key) for key in state} - layers.keys())
    if unknown:
        raise EngineError(
            f"the LoRA {file.name} was made for another model: this one has no layer {unknown[0]}"
            + (f", nor {len(unknown) - 1} further ones" if len(unknown) > 1 else "")
        )
    if not state:
        raise EngineError(f"the LoRA {file.name} has nothing for any layer of this model")
    for key, factor in state.items():
        layer = layers[layer_of(key)]
        down = ".lora_A." in key
        width = layer.in_features if down else layer.out_features
        found = factor.shape[1] if down else factor.shape[0]
        if found != width:
            raise EngineError(
                f"the LoRA {file.name} was made for another model: its layer {layer_of(key)} has a width of "
                f"{found}, this model's {width}"
            )
    return LoraWeights(state=_with_all_biases(state), metadata=_own(metadata), left_out=tuple(left_out))


def _with_all_biases(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, with biases of 0 for layers without one where others have one: PEFT wants all or none."""
    biases = {
        key.removesuffix("weight") + "bias": up.new_zeros(len(up))
        for key, up in state.items()
        if key.endswith(".lora_B.weight")
    }
    return {**state, **biases, **state} if any(key in state for key in biases) else dict(state)


def linear_layers(transformer: Any) -> dict[str, Any]:
    """The linear layers of a transformer by name, also where adapters stand before them."""
    return {
        name.removesuffix(".base_layer"): module
        for name, module in transformer.named_modules()
        if hasattr(module, "in_features") and ".lora_" not in name
    }


def layer_of(key: str) -> str:
    """The layer that a key of diffusers is for."""
    return key.removeprefix(PREFIX).partition(".lora_")[0]


def _own(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the file's metadata says of the transformer's adapter; None where it says nothing."""
    own = {key: value for key, value in (metadata or {}).items() if key.startswith(PREFIX)}
    return own or None
