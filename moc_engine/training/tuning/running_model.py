"""The model as it is while it is tuned, for the engine's own renderer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from moc_engine.machine import cache_folder
from moc_engine.models.backbone import Backbone
from moc_engine.models.caption_cache import CachedTextEncoder, part_identity
from moc_engine.models.part_loading import load_part
from moc_engine.models.registry import LoadedParts
from moc_engine.profiles import SHARED, Profile
from moc_engine.render.model_loading import LoadParts
from moc_engine.sources.parts import PipelineParts

BESIDE_TRAINING: Final = Profile(
    name="beside training", gibibytes=0, text_encoder="freed", autoencoder="visits", two_passes=True, tile=256
)
"""What is rendered with on a GPU that training fills."""


def running_model(model: PipelineParts, name: str, transformer: nn.Module, at: torch.device) -> LoadParts:
    """A loading of the `model` for `ShotRenderer`, onto a device; its part `name` is this transformer.

    The text encoder is read only for captions that are not among those kept, and given up afterwards.
    """

    def load(
        source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]:
        from moc_engine.models.wan.loader import load_parts

        given: dict[str, Any] = {name: transformer, "text_encoder": _text_encoder(model, at)}
        chosen = SHARED if at.type == "cpu" else BESIDE_TRAINING
        backbone = yield from load_parts(model, at, chosen, given)
        return replace(backbone, loras=None)  # that being trained is switched on already

    return load


def _text_encoder(model: PipelineParts, device: torch.device) -> CachedTextEncoder:
    from transformers import UMT5EncoderModel

    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16

    def load() -> Any:
        return (
            load_part(UMT5EncoderModel, model, "text_encoder", extra_weights=True, dtype=dtype)
            .to(device)
            .eval()
        )

    identity = part_identity(model.part("text_encoder"), dtype)
    return CachedTextEncoder(load, device, identity=identity, folder=cache_folder() / "captions")
