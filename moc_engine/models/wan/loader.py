"""Loads a `WanPipeline` folder or hub model as a `Backbone`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import UMT5EncoderModel

from moc_engine.errors import ModelMismatch
from moc_engine.models.backbone import Backbone
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.registry import LoadedParts
from moc_engine.models.sources import load_part, reading
from moc_engine.models.wan.family import WanFamily
from moc_engine.models.wan.lora_keys import read_lora

WEIGHTS: Final[dict[str, Any]] = {
    "text_encoder": UMT5EncoderModel,
    "vae": AutoencoderKLWan,
    "transformer": WanTransformer3DModel,
}
"""The parts with weights, in the order in which they are loaded."""


def load_parts(
    source: str, index: Mapping[str, Any], device: torch.device
) -> Generator[LoadedParts, None, Backbone]:
    """Yields before each part and at the end.

    Raises `ModelMismatch` for a model that does not denoise with one transformer throughout, or whose weights
    are not all there; `ModelNotFound` for what cannot be read.
    """
    if _names(index, "transformer") != WanTransformer3DModel.__name__ or _names(index, "transformer_2"):
        raise ModelMismatch(
            f"{source} does not denoise with one transformer throughout; the engine drives one"
        )
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    parts: dict[str, Any] = {}
    for done, (name, kind) in enumerate(WEIGHTS.items()):
        yield LoadedParts(done=done, parts=len(WEIGHTS), part=name)
        parts[name] = load_part(kind, source, name, extra_weights=True, dtype=dtype).to(device)
    with reading(source):
        pipeline = WanPipeline.from_pretrained(source, use_safetensors=True, **parts)
    yield LoadedParts(done=len(WEIGHTS), parts=len(WEIGHTS), part=None)
    shift = pipeline.scheduler.config.get("flow_shift") or pipeline.scheduler.config.get("shift") or 1.0
    return Backbone(
        name=source,
        transformer=pipeline.transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        family=WanFamily(pipeline),
        device=device,
        loras=LoraAdapters({"high": pipeline.transformer}, read_lora),
    )


def _names(index: Mapping[str, Any], part: str) -> str | None:
    """The class of a pipeline's part; None where it has none."""
    library_and_class = index.get(part)
    return library_and_class[1] if isinstance(library_and_class, list) else None
