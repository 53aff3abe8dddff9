"""Loads a model: finds its family by the pipeline class and loads part by part."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from moc_engine.machine import best_device
from moc_engine.model_index import EMBEDDED, parse_model_index, read_model_index
from moc_engine.models.backbone import Backbone
from moc_engine.models.hub import find_on_hub
from moc_engine.models.registry import LoadedParts, family_entry


def load_backbone(source: str | Path | None = None, device: torch.device | str | None = None) -> Backbone:
    """Loads a pipeline folder or hub model (the embedded one where None); safetensors only, no remote code.

    Raises as `find_model` does, and `ModelMismatch` for a pipeline of no family that is known.
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
    source = EMBEDDED if source is None else source
    location, index = find_model(source)
    entry = family_entry(str(index["_class_name"]))
    backbone = yield from entry.load(location, index, torch.device(device or best_device()))
    return replace(backbone, name=_name(source))


def find_model(source: str | Path) -> tuple[str, dict[str, Any]]:
    """The folder or hub id to load a model from, and its model_index.json.

    Raises `ModelNotFound` where there is no model, `ModelMismatch` for something that is no pipeline,
    `HubUnreachable` where the hub would have to be asked and cannot be.
    """
    index = read_model_index(source)
    if index is not None:
        return str(source), index
    location, file = find_on_hub(str(source))
    return location, parse_model_index(source, file)


def _name(source: str | Path) -> str:
    """The name written into traces: a hub model's id, or the folder's own name."""
    if str(source) == str(EMBEDDED):
        return "animatic"
    return Path(source).resolve().name if Path(source).is_dir() else str(source)
