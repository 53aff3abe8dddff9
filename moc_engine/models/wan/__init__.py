"""The Wan family of video models."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from moc_engine.models.registry import FamilyEntry, LoadedParts
from moc_engine.sources.parts import PipelineParts

if TYPE_CHECKING:
    import torch

    from moc_engine.models.backbone import Backbone


def _load(model: PipelineParts, device: torch.device) -> Generator[LoadedParts, None, Backbone]:
    from moc_engine.models.wan.loader import load_parts

    return load_parts(model, device)


FAMILY = FamilyEntry(load=_load, abilities=lambda index: frozenset({"loras"}))
