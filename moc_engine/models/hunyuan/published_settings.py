"""The settings that HunyuanVideo's authors render it with. No torch.

From github.com/Tencent-Hunyuan/HunyuanVideo: 50 steps at a flow shift of 7, 129 frames of 1280 × 720 at 24
frames a second, and embedded guidance of 6 in place of guidance by a second pass.
"""

from __future__ import annotations

from typing import Final

from moc_engine.abilities import Ability
from moc_engine.config import MemoryConfig, SamplerConfig
from moc_engine.models.part_configs import SCHEDULER_NAMES, part_config
from moc_engine.own_settings import OwnSettings
from moc_engine.sources.parts import PipelineParts

ABILITIES: Final[frozenset[Ability]] = frozenset(
    {"scheduler", "negative_prompt", "guide", "loras", "step_cache"}
)
"""A negative prompt counts where guidance by a second pass is asked for as well."""

SAMPLER: Final = SamplerConfig(steps=50, guidance=1.0)
MEMORY: Final = MemoryConfig(policy="change", keyframes=8, storage="int8")
RATE: Final = 24.0
TRAINED_FRAMES: Final = 33
"""Latent frames of the longest shots that it was trained on: 129 frames."""


def own_settings(model: PipelineParts) -> OwnSettings:
    """The settings of a pipeline, with what its scheduler's config adds."""
    scheduler = part_config(model, "scheduler")
    shift = scheduler.get("shift", scheduler.get("flow_shift"))
    return OwnSettings(
        memory=MEMORY,
        sampler=SAMPLER,
        scheduler=SCHEDULER_NAMES.get(str(scheduler.get("_class_name"))),
        shift=None if shift is None else float(shift),
        fps=RATE,
        frames=1 + 4 * (TRAINED_FRAMES - 1),
        frame_step=4,
        size=(1280, 720),
    )
