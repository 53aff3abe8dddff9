"""The Wan family of video models."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from moc_engine.models.registry import FamilyEntry, LoadedParts

if TYPE_CHECKING:
    import torch

    from moc_engine.models.backbone import Backbone


def _load(
    source: str, index: Mapping[str, Any], device: torch.device
) -> Generator[LoadedParts, None, Backbone]:
    from moc_engine.models.wan.loader import load_parts

    return load_parts(source, index, device)


FAMILY = FamilyEntry(load=_load, abilities=lambda index: frozenset({"loras"}))
