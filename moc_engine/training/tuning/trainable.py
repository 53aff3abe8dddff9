"""Which weights of a transformer are trained: a LoRA beside it, or all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moc_engine.training.tuning.lora_factors import add_lora
from moc_engine.training.tuning.recipe import TuningRecipe


@dataclass(frozen=True, kw_only=True)
class Trainable:
    """How many numbers are trained, and how many stay as they are."""

    trained: int
    frozen: int

    @property
    def share(self) -> float:
        """The share of all numbers that are trained, 0–1."""
        return self.trained / (self.trained + self.frozen)


def make_trainable(transformer: Any, recipe: TuningRecipe) -> Trainable:
    """Makes the weights that the recipe trains trainable, in float32, and freezes the others.

    Raises `ValueError` as `add_lora` does.
    """
    if recipe.kind == "lora":
        add_lora(transformer, recipe)
    else:
        transformer.float().requires_grad_(True)
    transformer.train()
    return count_trainable(transformer)


def count_trainable(transformer: Any) -> Trainable:
    """How many numbers of a transformer are trained."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in transformer.parameters()]
    trained = sum(size for size, wanted in sizes if wanted)
    return Trainable(trained=trained, frozen=sum(size for size, _ in sizes) - trained)
