"""Loads a `WanPipeline` as a `Backbone`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import diffusers
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import AutoTokenizer, UMT5EncoderModel

from moc_engine.errors import ModelMismatch
from moc_engine.models.backbone import Backbone
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.part_loading import load_part, load_settings
from moc_engine.models.registry import LoadedParts
from moc_engine.models.wan.family import WanFamily
from moc_engine.models.wan.lora_keys import read_lora
from moc_engine.sources.parts import PipelineParts

WEIGHTS: Final[dict[str, Any]] = {
    "text_encoder": UMT5EncoderModel,
    "vae": AutoencoderKLWan,
    "transformer": WanTransformer3DModel,
}
"""The parts with weights, in the order in which they are loaded."""


def load_parts(model: PipelineParts, device: torch.device) -> Generator[LoadedParts, None, Backbone]:
    """Yields before each part and at the end.

    Raises `ModelMismatch` for a model that does not denoise with one transformer throughout, or whose weights
    are not all there; `ModelNotFound` for what cannot be read.
    """
    if model.class_of("transformer") != WanTransformer3DModel.__name__ or model.class_of("transformer_2"):
        raise ModelMismatch(
            f"{model.source} does not denoise with one transformer throughout; the engine drives one"
        )
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    parts: dict[str, Any] = {}
    for done, (name, kind) in enumerate(WEIGHTS.items()):
        yield LoadedParts(done=done, parts=len(WEIGHTS), part=name)
        parts[name] = load_part(kind, model, name, extra_weights=True, dtype=dtype).to(device)
    parts["tokenizer"] = load_settings(AutoTokenizer, model, "tokenizer")
    parts["scheduler"] = load_settings(scheduler_class(model), model, "scheduler")
    pipeline = WanPipeline(**parts)
    yield LoadedParts(done=len(WEIGHTS), parts=len(WEIGHTS), part=None)
    shift = pipeline.scheduler.config.get("flow_shift") or pipeline.scheduler.config.get("shift") or 1.0
    return Backbone(
        name=model.name,
        transformer=pipeline.transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        family=WanFamily(pipeline),
        device=device,
        loras=LoraAdapters({"high": pipeline.transformer}, read_lora),
    )


def scheduler_class(model: PipelineParts) -> Any:
    """The class of the scheduler that a pipeline names. Raises `ModelMismatch` where diffusers has none."""
    kind = getattr(diffusers, str(model.class_of("scheduler")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise ModelMismatch(f"{model.source}: there is no scheduler {model.class_of('scheduler')}")
    return kind
