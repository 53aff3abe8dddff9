"""How large a model is, from the configurations of its parts, before it is loaded. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.model_memory import ModelSize
from moc_engine.models.registry import family_entry
from moc_engine.sources.part_files import read_json
from moc_engine.sources.parts import PipelineParts


def model_size(model: PipelineParts) -> ModelSize | None:
    """The size of a model; None where its family does not predict it, or its parts do not say it."""
    configs = {name: found for name, part in model.parts.items() if (found := _config(part.config_folder))}
    try:
        size = family_entry(model.pipeline_class).size
        return None if size is None else size(configs)
    except (KeyError, ModelMismatch, TypeError, ValueError):
        return None


def _config(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / "config.json")
    except ModelNotFound:
        return {}
