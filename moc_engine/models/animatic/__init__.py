"""The animatic family: scenes of characters, props and a set, drawn by a rasterizer."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from moc_engine.models.animatic.published import ABILITIES, SAMPLER
from moc_engine.models.registry import FamilyEntry, LoadedParts, Vocabulary
from moc_engine.own_settings import OwnSettings
from moc_engine.profiles import Profile
from moc_engine.sources.parts import PipelineParts

if TYPE_CHECKING:
    import torch

    from moc_engine.models.backbone import Backbone


def _load(
    model: PipelineParts, device: torch.device, profile: Profile
) -> Generator[LoadedParts, None, Backbone]:
    from moc_engine.models.animatic.loader import load_parts

    return load_parts(model, device)


def _vocabulary() -> Vocabulary:
    from moc_engine.models.animatic import words

    return words


def _own_settings(_: PipelineParts) -> OwnSettings:
    return OwnSettings(sampler=SAMPLER)


FAMILY = FamilyEntry(
    load=_load, vocabulary=_vocabulary, own_settings=_own_settings, abilities=lambda index: ABILITIES
)
