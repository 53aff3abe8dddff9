"""Whether a LoRA fits a Wan transformer, told by the names and shapes in the file's header. No torch.

A LoRA has two factors for each layer: (rank, inputs) and (outputs, rank).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from moc_engine.errors import EngineError
from moc_engine.lora_files import read_lora_file
from moc_engine.models.wan.lora_keys import lora_key
from moc_engine.models.wan.transformer_tensors import layers_of_config
from moc_engine.models.wan.variants import VARIANTS, transformer_config
from moc_engine.sources.part_files import weight_files
from moc_engine.sources.parts import PipelineParts
from moc_engine.sources.weights_header import read_header

Layers = Mapping[str, tuple[int, int]]
"""Linear layers by diffusers' names: (outputs, inputs)."""

IMAGE_LAYERS: Final = ("add_k_proj", "add_v_proj", "image_embedder")
"""Parts of the names of layers that only picture-to-video models have."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """The widths of the layer that a LoRA's factors were made for; None for a factor that is missing."""

    outputs: int | None = None
    inputs: int | None = None


class WanLoras:
    """LoRAs of the Wan family, as `Loras`."""

    def check(self, model: PipelineParts, file: Path) -> None:
        check_lora(file, layers_of(model))

    def made_for(self, file: Path) -> tuple[str, ...]:
        return made_for(file)


def check_lora(file: Path, layers: Layers) -> None:
    """Raises `EngineError` for a file that is no LoRA, is not complete, or was made for other layers.

    Layers for images are left out where the model has none.
    """
    read_lora_file(file)
    shapes = {name: tensor.shape for name, tensor in read_header(file).tensors.items()}
    check_factors(file, factors_of(shapes), layers)


def check_factors(file: Path, factors: Mapping[str, Factors], layers: Layers) -> None:
    """Raises `EngineError` unless the factors of a LoRA file are complete and fit these layers."""
    half = [layer for layer, found in factors.items() if None in (found.outputs, found.inputs)]
    if half:
        raise EngineError(f"the LoRA {file} is not complete: its layer {half[0]} has one of two factors")
    fitting = {layer: found for layer, found in factors.items() if layer in layers or not is_of_images(layer)}
    unknown = sorted(fitting.keys() - layers.keys())
    if unknown:
        more = f", nor {len(unknown) - 1} further ones" if len(unknown) > 1 else ""
        raise _another_model(file, f"this one has no layer {unknown[0]}{more}")
    if not fitting:
        raise EngineError(f"the LoRA {file} has nothing for any layer of this model")
    for layer, found in fitting.items():
        outputs, inputs = layers[layer]
        if (found.outputs, found.inputs) != (outputs, inputs):
            raise _another_model(
                file,
                f"its layer {layer} has {found.inputs} inputs and {found.outputs} outputs, this model's "
                f"{inputs} and {outputs}",
            )


def _another_model(file: Path, difference: str) -> EngineError:
    titles = made_for(file)
    known = f" ({', '.join(titles)})" if titles else ""
    return EngineError(f"the LoRA {file} was made for another model{known}: {difference}")


def factors_of(shapes: Mapping[str, Sequence[int]]) -> dict[str, Factors]:
    """The factors by layer in tensors of these names and shapes, whatever trainer named them."""
    found: dict[str, Factors] = {}
    for name, shape in shapes.items():
        key = lora_key(name)
        if key is None or key.factor not in ("down", "up") or len(shape) < 2:
            continue
        before = found.get(key.layer, Factors())
        if key.factor == "down":
            found[key.layer] = Factors(outputs=before.outputs, inputs=shape[1])
        else:
            found[key.layer] = Factors(outputs=shape[0], inputs=before.inputs)
    return found


def is_of_images(layer: str) -> bool:
    """Whether only picture-to-video models have a layer, or a tensor of it."""
    return any(part in layer for part in IMAGE_LAYERS)


def layers_of(model: PipelineParts) -> dict[str, tuple[int, int]]:
    """The linear layers of a model's transformer, from the headers of its weights.

    Raises `ModelNotFound` and `ModelMismatch` for files that cannot be read.
    """
    part = model.part("transformer" if "transformer" in model.parts else "transformer_2")
    files = [part.path] if part.path.is_file() else weight_files(part.path)
    tensors = {
        part.names(name): tensor for file in files for name, tensor in read_header(file).tensors.items()
    }
    return {
        name.removesuffix(".weight"): (tensor.shape[0], tensor.shape[1])
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    }


def made_for(file: Path) -> tuple[str, ...]:
    """The published models that a LoRA fits; those with layers for images only where it has such."""
    shapes = {name: tensor.shape for name, tensor in read_header(file).tensors.items()}
    factors = factors_of(shapes)
    of_images = any(map(is_of_images, factors))
    titles = []
    for variant in VARIANTS.values():
        layers = _published_layers(variant.transformer)
        same_kind = any(map(is_of_images, layers)) == of_images
        if same_kind and all(
            layers.get(layer) == (found.outputs, found.inputs) for layer, found in factors.items()
        ):
            titles.append(variant.title)
    return tuple(titles) if factors else ()


@cache
def _published_layers(transformer: str) -> Layers:
    return layers_of_config(transformer_config(transformer))
