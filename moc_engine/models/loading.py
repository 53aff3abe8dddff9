"""Loads a model: finds its family by the pipeline class and loads part by part."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import torch

from moc_engine.machine import best_device, memory_bytes
from moc_engine.model_index import EMBEDDED
from moc_engine.models.backbone import Backbone
from moc_engine.models.finding import find_model
from moc_engine.models.registry import LoadedParts, family_entry
from moc_engine.profiles import profile_named


def load_backbone(
    source: str | Path | None = None, device: torch.device | str | None = None, *, profile: str = "auto"
) -> Backbone:
    """Loads a pipeline folder or hub model (the embedded one where None); safetensors only, no remote code.

    Raises as `find_model` does, and `ModelMismatch` for a pipeline of no family that is known.
    """
    loading = load_parts(source, device, profile=profile)
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            backbone: Backbone = stop.value
            return backbone


def load_parts(
    source: str | Path | None = None, device: torch.device | str | None = None, *, profile: str = "auto"
) -> Generator[LoadedParts, None, Backbone]:
    """As `load_backbone`, one part after the other: yields before each part and at the end.

    `profile` is a name of `PROFILE_NAMES`. Raises `ValueError` for another one.
    """
    model = find_model(EMBEDDED if source is None else source)
    entry = family_entry(model.pipeline_class)
    place = torch.device(device or best_device())
    chosen = profile_named(profile, place.type, memory_bytes(str(place)))
    return (yield from entry.load(model, place, chosen))
