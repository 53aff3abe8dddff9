"""Loads a part from one file of weights: safetensors, in 8 bits too as ComfyUI writes them, or GGUF.

    tensors of the file ─► names of the part's class ─► compared with its config.json ─► weights of the part

Nothing is guessed: names and shapes must be those that the configuration describes. A GGUF transformer keeps
its quantised weights, which diffusers expands as it computes; those of a text encoder, and scaled 8-bit
weights, are expanded once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import init_empty_weights
from diffusers import GGUFQuantizationConfig
from diffusers.models.model_loading_utils import load_gguf_checkpoint
from gguf.constants import GGML_QUANT_SIZES
from safetensors import safe_open
from torch import Tensor

from moc_engine.errors import ModelMismatch
from moc_engine.models.gguf_weights import expanded_gguf
from moc_engine.sources.parts import PartSource
from moc_engine.sources.weights_header import SCALES, SPIECE, read_header

_EIGHT_BITS: Final = (torch.float8_e4m3fn, torch.float8_e5m2)
_FORMATS: Final = ("float8_e4m3fn", "float8_e5m2")
"""What ComfyUI's `comfy_quant` says of weights that are expanded by one scale for each or each row."""


def load_from_file(
    kind: Any,
    part: PartSource,
    *,
    dtype: torch.dtype = torch.float32,
    quantization_config: Any = None,
    **options: Any,
) -> Any:
    """The part that a file holds; `kind` is its class, of diffusers or transformers.

    `quantization_config` is for classes of diffusers. Raises `ModelMismatch` for weights that are not those
    of its configuration, or stored in a way that cannot be read; `ModelNotFound` as `read_header` does.
    """
    read_header(part.path)  # tells a damaged file in words
    model = _empty(kind, part.config_folder)
    of_gguf = part.path.suffix.lower() == ".gguf"
    quantised = of_gguf and "Transformer" in kind.__name__  # other classes do not compute with such weights
    if quantised:
        weights = load_gguf_checkpoint(str(part.path))
    else:
        weights = expanded_gguf(part.path, dtype) if of_gguf else _expanded(part.path, dtype)
    weights = _named(part, weights)
    _compare(part, model, {name: _shape(tensor) for name, tensor in weights.items()})
    if quantised or quantization_config is not None:
        config = GGUFQuantizationConfig(compute_dtype=dtype) if quantised else quantization_config
        return kind.from_single_file(
            weights, config=str(part.config_folder), dtype=dtype, quantization_config=config, **options
        )
    kept = (model._keep_in_fp32_modules or ()) if _of_diffusers(kind) else ()
    weights = {name: tensor.to(_dtype(name, dtype, kept)) for name, tensor in weights.items()}
    model.load_state_dict(weights, assign=True, strict=False)
    if not _of_diffusers(kind):
        model.tie_weights()
    return model.eval()


def _named(part: PartSource, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file under the names of the part's class."""
    if part.arranged is None:
        return {part.names(name): tensor for name, tensor in weights.items()}
    return {
        own: rows for name, tensor in weights.items() for own, rows in part.arranged(name, tensor).items()
    }


def _of_diffusers(kind: Any) -> bool:
    return hasattr(kind, "from_single_file")


def _empty(kind: Any, config: Path) -> Any:
    """The part of a configuration, without weights."""
    with init_empty_weights():
        if _of_diffusers(kind):
            return kind.from_config(kind.load_config(config))
        return kind(kind.config_class.from_pretrained(config))


def _dtype(name: str, dtype: torch.dtype, kept: Collection[str]) -> torch.dtype:
    """The dtype of a weight: some are kept in float32, as diffusers keeps them."""
    return torch.float32 if any(word in name.split(".") for word in kept) else dtype


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape of a weight; of one quantised in GGUF that of what it stands for."""
    quantisation = getattr(tensor, "quant_type", None)
    if quantisation is None:
        return tuple(tensor.shape)
    block, block_bytes = GGML_QUANT_SIZES[quantisation]
    return *tensor.shape[:-1], tensor.shape[-1] // block_bytes * block


def _compare(part: PartSource, model: Any, found: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `ModelMismatch` unless names and shapes are those of the part."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    missing = sorted(wanted.keys() - found.keys() - tied)
    unknown = sorted(found.keys() - wanted.keys())
    wrong = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    if missing:
        problem = f"{len(missing)} tensors are missing, such as {missing[0]}"
    elif wrong:
        name = wrong[0]
        problem = f"{name} has the shape {found[name]} and not {wanted[name]}"
    elif unknown:
        problem = f"it has {len(unknown)} tensors more, such as {unknown[0]}"
    else:
        return
    raise ModelMismatch(f"{part.path}: its weights are not those of its configuration: {problem}")


def _expanded(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of a safetensors file, 8-bit ones with their scales applied."""
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        for name in names:
            if name.endswith("comfy_quant"):
                _check_format(path, name, file.get_tensor(name))
        scales = {name for name in names if name.rsplit(".", 1)[-1] in SCALES}
        weights: dict[str, Tensor] = {}
        for name in names:
            if name in scales or name == SPIECE or name.endswith("position_ids"):  # a range, no weights
                continue
            tensor = file.get_tensor(name)
            module = name.removesuffix("weight")
            scale = next((s for s in (f"{module}scale_weight", f"{module}weight_scale") if s in scales), None)
            if name.endswith("weight") and scale is not None:
                tensor = _scaled(path, name, tensor, file.get_tensor(scale)).to(dtype)
            elif not tensor.is_floating_point():
                raise ModelMismatch(
                    f"{path}: {name} is stored as {_words(tensor.dtype)}, which cannot be read"
                )
            weights[name] = tensor
    return weights


def _check_format(path: Path, name: str, tensor: Tensor) -> None:
    stored = json.loads(bytes(tensor.tolist()).decode()).get("format")
    if stored not in _FORMATS:
        raise ModelMismatch(
            f"{path}: weights stored as {stored} ({name}) cannot be read; take the file in fp16, bf16, "
            "fp8_scaled or GGUF"
        )


def _scaled(path: Path, name: str, weight: Tensor, scale: Tensor) -> Tensor:
    rows = scale.numel() == weight.shape[0] and scale.shape[0] == scale.numel()
    if weight.dtype not in _EIGHT_BITS or not (scale.numel() == 1 or rows):
        raise ModelMismatch(
            f"{path}: {name} is stored as {_words(weight.dtype)} with scales of shape {tuple(scale.shape)}, "
            "which cannot be read"
        )
    factors = scale.float().reshape(-1, *[1] * (weight.dim() - 1)) if rows else scale.float().reshape(())
    return weight.float() * factors


def _words(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
