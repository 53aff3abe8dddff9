"""Which models can be tuned, and which of their transformers; the others are refused in words. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from moc_engine.errors import ModelMismatch
from moc_engine.models.part_configs import part_config
from moc_engine.models.wan.defaults import boundary_of, has_part
from moc_engine.sources.parts import PipelineParts
from moc_engine.training.tuning.recipe import TuningRecipe

_TUNABLE: Final = ("WanPipeline", "WanImageToVideoPipeline")

_REFUSED: Final[Mapping[str, str]] = {
    "AnimaticPipeline": "the embedded model has a training of its own, on generated stories",
    "HunyuanVideoPipeline": "its captions stand inside the sequence, and only models of Wan are tuned",
    "WanDMDPipeline": "it was distilled to a few steps, which tuning undoes; tune the model before that",
    "WanVACEPipeline": "VACE models are controlled by clips, which the footage does not have",
}


def transformer_part(model: PipelineParts, recipe: TuningRecipe) -> str:
    """The part of the model that the recipe trains: "transformer", or "transformer_2".

    Raises `ModelMismatch` for a model that cannot be tuned, and `ValueError` for an expert that it lacks, or
    where it has two and the recipe names none.
    """
    if model.pipeline_class not in _TUNABLE:
        why = _REFUSED.get(model.pipeline_class, "only models of Wan are tuned")
        raise ModelMismatch(f"{model.source} cannot be tuned: {why}")
    there = [name for name in ("transformer", "transformer_2") if has_part(model.index, name)]
    if len(there) > 1 and not recipe.expert:
        raise ValueError('expert: the model has two; train one at a time, "high" or "low"')
    if len(there) < 2 and recipe.expert:
        raise ValueError(f"expert: the model has one transformer, got {recipe.expert!r}")
    name = {"high": "transformer", "low": "transformer_2"}[recipe.expert] if recipe.expert else there[0]
    config = part_config(model, name)
    if config.get("in_channels") != config.get("out_channels", config.get("in_channels")):
        raise ModelMismatch(
            f"{model.source} cannot be tuned: it makes each shot from a picture beside its latents; tune a "
            "model that makes shots from text"
        )
    if model.part(name).path.suffix == ".gguf":
        raise ModelMismatch(f"{model.source} cannot be tuned: its weights are quantised (GGUF)")
    return name


def noise_range(model: PipelineParts, recipe: TuningRecipe) -> tuple[float, float]:
    """The noise levels (0–1) at which the transformer that is trained denoises."""
    boundary = boundary_of(model.index) or 0.0
    if recipe.expert == "high":
        return boundary, 1.0
    return (0.0, boundary) if recipe.expert == "low" else (0.0, 1.0)


def noise_shift(model: PipelineParts, recipe: TuningRecipe) -> float:
    """The shift of noise levels: the recipe's, or that of the model's own scheduler; 1 is none."""
    if recipe.shift is not None:
        return recipe.shift
    scheduler = part_config(model, "scheduler")
    return float(scheduler.get("flow_shift") or scheduler.get("shift") or 1.0)
