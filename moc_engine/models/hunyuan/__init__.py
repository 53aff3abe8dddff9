"""The HunyuanVideo family of video models, text to video."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from moc_engine.models.hunyuan.published_settings import ABILITIES, own_settings
from moc_engine.models.registry import FamilyEntry, LoadedParts
from moc_engine.profiles import Profile
from moc_engine.sources.parts import PipelineParts

if TYPE_CHECKING:
    import torch

    from moc_engine.models.backbone import Backbone


def _load(
    model: PipelineParts, device: torch.device, profile: Profile
) -> Generator[LoadedParts, None, Backbone]:
    from moc_engine.models.hunyuan.loader import load_parts

    return load_parts(model, device, profile)


FAMILY = FamilyEntry(load=_load, abilities=lambda index: ABILITIES, own_settings=own_settings)
