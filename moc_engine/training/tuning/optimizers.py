"""The optimizers of tuning."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from moc_engine.errors import EngineError
from moc_engine.training.tuning.recipe import Optimizer, TuningRecipe

BETAS = (0.9, 0.99)

STATE_BYTES: dict[Optimizer, float] = {"adamw": 8.0, "adamw8bit": 2.0 + 8.0 / 256}
"""Bytes of state for a weight: two moments in float32, or in 8 bits with a scale for every 256."""


def check_optimizer(optimizer: Optimizer, *, sharded: bool, device: str) -> None:
    """Raises `EngineError` for an optimizer that cannot be used here."""
    if optimizer != "adamw8bit":
        return
    if find_spec("bitsandbytes") is None:
        raise EngineError("--optimizer adamw8bit needs the package bitsandbytes: pip install bitsandbytes")
    if sharded:
        raise EngineError("--optimizer adamw8bit keeps its state whole: leave --shard out, or take adamw")
    if device == "cpu":
        raise EngineError("--optimizer adamw8bit needs a GPU: take adamw")


def optimizer_of(recipe: TuningRecipe, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW with weight decay for matrices only, not for biases, norms and tables."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw8bit":
        import bitsandbytes

        found: torch.optim.Optimizer = bitsandbytes.optim.AdamW8bit(
            groups, lr=recipe.learning_rate, betas=BETAS
        )
        return found
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=BETAS)
