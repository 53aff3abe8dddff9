"""Loads a model: finds its family by the pipeline class and loads part by part."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Final

import torch

from moc_engine.machine import best_device
from moc_engine.models.backbone import Backbone
from moc_engine.models.registry import LoadedParts, family_entry
from moc_engine.models.sources import pipeline_class

EMBEDDED: Final = Path(__file__).parent / "animatic" / "weights"
"""The folder of the embedded model."""


def load_backbone(source: str | Path | None = None, device: torch.device | str | None = None) -> Backbone:
    """Loads a pipeline folder or hub model (the embedded one where None); safetensors only, no remote code.

    Raises `ModelNotFound` where there is none, `ModelMismatch` where it is of no family known here.
    """
    loading = load_parts(source, device)
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            backbone: Backbone = stop.value
            return backbone


def load_parts(
    source: str | Path | None = None, device: torch.device | str | None = None
) -> Generator[LoadedParts, None, Backbone]:
    """As `load_backbone`, one part after the other: yields before each part and at the end."""
    source = str(EMBEDDED if source is None else source)
    entry = family_entry(pipeline_class(source))
    return (yield from entry.load(source, torch.device(device or best_device())))


def model_name(source: str | Path) -> str:
    """The name written into traces: a hub model's id, or the folder's own name."""
    if str(source) == str(EMBEDDED):
        return "animatic"
    return Path(source).resolve().name if Path(source).is_dir() else str(source)
