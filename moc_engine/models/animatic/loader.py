"""Loads an animatic model as a `Backbone`."""

from __future__ import annotations

from collections.abc import Generator

import torch

from moc_engine.models.animatic.family import AnimaticFamily
from moc_engine.models.animatic.model import load_pipeline_parts
from moc_engine.models.backbone import Backbone
from moc_engine.models.registry import LoadedParts
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.sources.parts import PipelineParts


def load_parts(model: PipelineParts, device: torch.device) -> Generator[LoadedParts, None, Backbone]:
    """Loads a model step by step: yields before each part and at the end.

    Raises as `animatic.model.load` does.
    """
    pipeline = (yield from load_pipeline_parts(model)).to(device)
    return Backbone(
        name=model.name,
        adapter=WanAdapter(pipeline.transformer.eval()),
        scheduler=pipeline.scheduler,
        family=AnimaticFamily(pipeline),
        device=device,
    )
