"""Recipes of tuning by name, each with the words that say what it is for. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from moc_engine.training.tuning.recipe import ATTENTION, Kind, SparsityStage, TuningRecipe

FULL_RATE: Final = 1e-5
"""The learning rate of all weights, a tenth of that of a LoRA."""


@dataclass(frozen=True, kw_only=True)
class TuningPreset:
    """`words` say what the preset is for; `fields` are those of the recipe that are not its defaults."""

    words: str
    fields: Mapping[str, Any] = field(default_factory=dict)


PRESETS: Final[Mapping[str, TuningPreset]] = {
    "standard": TuningPreset(
        words="dense attention at first, then fewer and fewer chunks, over 2000 steps",
    ),
    "quick": TuningPreset(
        words="200 steps of a small LoRA, to see whether the footage teaches anything",
        fields={"steps": 200, "rank": 8, "alpha": 8.0, "warm_up": 10, "ema": 0.98},
    ),
    "attention": TuningPreset(
        words="trains the attention layers alone: what is looked up, and less of how pictures look",
        fields={"targets": ATTENTION},
    ),
    "small-memory": TuningPreset(
        words="two shots at a time, one of them noisy; the least memory",
        fields={"shots": (2, 2), "denoised": 1, "rank": 16, "alpha": 16.0},
    ),
    "sparse": TuningPreset(
        words="five chunks from the first step, for a model that was tuned before",
        fields={"stages": (SparsityStage(until=1.0, top_k=5),)},
    ),
}


def recipe_of(kind: Kind, preset: str, changes: Mapping[str, Any]) -> TuningRecipe:
    """The recipe of a preset with the fields of `changes` in place of its own. Raises `ValueError`."""
    if preset not in PRESETS:
        raise ValueError(f"preset: one of {', '.join(PRESETS)}, got {preset!r}")
    rate = {"learning_rate": FULL_RATE} if kind == "full" else {}
    return replace(TuningRecipe(kind=kind), **{**rate, **PRESETS[preset].fields, **changes})
