"""The Wan family of video models."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from moc_engine.model_memory import wan_size
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.footage_encoders import FootageEncoders
from moc_engine.models.registry import FamilyEntry, LoadedParts, Loras, SingleFiles
from moc_engine.models.wan.defaults import abilities_of, needs_first_frame
from moc_engine.own_settings import OwnSettings
from moc_engine.profiles import Profile
from moc_engine.sources.parts import PipelineParts

if TYPE_CHECKING:
    import torch

    from moc_engine.models.backbone import Backbone


def _load(
    model: PipelineParts, device: torch.device, profile: Profile
) -> Generator[LoadedParts, None, Backbone]:
    from moc_engine.models.wan.loader import load_parts

    return load_parts(model, device, profile)


def _single_files() -> SingleFiles:
    from moc_engine.models.wan.single_files import WanFiles

    return WanFiles()


def _loras() -> Loras:
    from moc_engine.models.wan.lora_fit import WanLoras

    return WanLoras()


def _left_out(model: PipelineParts, global_caption: str, caption: str) -> LeftOut | None:
    from moc_engine.models.wan.caption_room import left_out

    return left_out(model, global_caption, caption)


def _encoders(model: PipelineParts, device: torch.device, profile: Profile) -> FootageEncoders:
    from moc_engine.models.wan.encoders import WanEncoders

    return WanEncoders(model, device, profile)


def _own_settings(model: PipelineParts) -> OwnSettings:
    from moc_engine.models.wan.defaults import own_settings

    return own_settings(model)


FAMILY = FamilyEntry(
    load=_load,
    abilities=abilities_of,
    needs_first_frame=needs_first_frame,
    single_files=_single_files,
    loras=_loras,
    own_settings=_own_settings,
    left_out=_left_out,
    encoders=_encoders,
    size=wan_size,
)
