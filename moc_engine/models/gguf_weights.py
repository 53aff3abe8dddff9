"""Reads the weights of a GGUF file expanded, for parts whose class cannot compute with quantised ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor

from moc_engine.errors import ModelMismatch

_AT_ONCE: Final = 2**25
"""Elements that are expanded at once in float32, before they get the dtype that is asked for."""


def expanded_gguf(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of a GGUF file, each expanded into `dtype`.

    Raises `ModelMismatch` for a form of quantisation that cannot be expanded.
    """
    weights: dict[str, Tensor] = {}
    for tensor in GGUFReader(path).tensors:
        try:
            weights[tensor.name] = _expanded(tensor, dtype)
        except NotImplementedError as error:
            raise ModelMismatch(
                f"{path}: {tensor.name} is stored as {tensor.tensor_type.name}, which cannot be expanded; "
                "take the file in Q8_0, or in safetensors"
            ) from error
    return weights


def _expanded(tensor: Any, dtype: torch.dtype) -> Tensor:
    shape = tuple(int(side) for side in reversed(tensor.shape))
    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    made = torch.empty(len(rows), shape[-1], dtype=dtype)
    step = max(1, _AT_ONCE // shape[-1])
    for at in range(0, len(rows), step):
        block = dequantize(np.array(rows[at : at + step]), tensor.tensor_type)
        made[at : at + step] = torch.from_numpy(block)
    return made.reshape(shape)
