"""The HunyuanVideo family of video models, text to video."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

from moc_engine.model_memory import Config, ModelSize
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.hunyuan.published_settings import ABILITIES, own_settings
from moc_engine.models.registry import FamilyEntry, LoadedParts, Loras, SingleFiles
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


def _left_out(model: PipelineParts, global_caption: str, caption: str) -> LeftOut | None:
    from moc_engine.models.hunyuan.prompt_room import left_out

    return left_out(model, global_caption, caption)


def _single_files() -> SingleFiles:
    from moc_engine.models.hunyuan.transformer_files import HunyuanFiles

    return HunyuanFiles()


def _loras() -> Loras:
    from moc_engine.models.hunyuan.lora_headers import HunyuanLoras

    return HunyuanLoras()


def _size(configs: Mapping[str, Config]) -> ModelSize:
    from moc_engine.models.hunyuan.memory_size import hunyuan_size

    return hunyuan_size(configs)


FAMILY = FamilyEntry(
    load=_load,
    abilities=lambda index: ABILITIES,
    single_files=_single_files,
    loras=_loras,
    own_settings=own_settings,
    left_out=_left_out,
    size=_size,
)
