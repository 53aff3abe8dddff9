"""What a Wan pipeline is, and the settings its authors render it with, told from model_index.json. No torch.

| pipeline | steps | guidance | source |
|---|---|---|---|
| Wan 2.1, text to video | 50 | 5 | github.com/Wan-Video/Wan2.1, `generate.py` |
| Wan 2.1, picture to video | 40 | 5 | the same |
| Wan 2.2 TI2V 5B | 50 | 5 | github.com/Wan-Video/Wan2.2, `wan/configs` |
| Wan 2.2 T2V A14B | 40 | 4, and 3 for low noise | the same |
| Wan 2.2 I2V A14B | 40 | 3.5 | the same |
| Wan 2.1 VACE (`WanVACEPipeline`) | 50 | 5 | github.com/Wan-Video/Wan2.1, `generate.py` |
| Wan 2.2 VACE-Fun A14B | 50 | 5 | github.com/aigc-apps/VideoX-Fun, `examples/wan2.2_vace_fun` |
| FastWan (`WanDMDPipeline`) | 3 | none | github.com/hao-ai-lab/FastVideo |

Scheduler and flow shift are those of a model's own scheduler_config.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moc_engine.abilities import Ability
from moc_engine.config import MemoryConfig, SamplerConfig
from moc_engine.models.part_configs import SCHEDULER_NAMES, part_config
from moc_engine.own_settings import OwnSettings
from moc_engine.sources.parts import PipelineParts

PICTURE_PIPELINE: Final = "WanImageToVideoPipeline"
DISTILLED_PIPELINE: Final = "WanDMDPipeline"
CONTROL_PIPELINE: Final = "WanVACEPipeline"

DISTILLED_TIMESTEPS: Final = (1000, 757, 522)
"""At which FastWan was distilled to predict the result (FastVideo's `dmd_denoising_steps`)."""

FRAME_RATES: Final = {16: 16.0, 48: 24.0}
"""Frames a second by the number of latent channels: Wan 2.1 has 16, Wan 2.2 (5B) has 48."""

TRAINED_FRAMES: Final = {16: 21, 48: 31}
"""Latent frames of the shots that models were trained on, by latent channels: 81 frames and 121."""

LAYERS_OF_1_3B: Final = 30
"""The smallest model renders 832 × 480, larger ones of as many latent channels 1280 × 720."""

MEMORY: Final = MemoryConfig(policy="change", keyframes=8, storage="int8")
"""What is remembered of earlier shots, so that a film of 12 fits a card of 24 GB and 64 GB of memory."""

NEGATIVE_PROMPT: Final = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，"
    "形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""Which the models' cards and examples render with, unlike diffusers' pipeline, whose default is none.

From github.com/Wan-Video/Wan2.2, `sample_neg_prompt` in `wan/configs/shared_config.py`: garish colours,
overexposed, static, blurred details, subtitles, deformed hands and faces, a crowded background, and so on.
"""


def sampler_of(index: Mapping[str, Any]) -> SamplerConfig:
    """The settings that a pipeline is rendered with."""
    picture = index.get("_class_name") == PICTURE_PIPELINE
    if index.get("_class_name") == DISTILLED_PIPELINE:
        return SamplerConfig(steps=len(DISTILLED_TIMESTEPS), guidance=1.0)
    if index.get("_class_name") == CONTROL_PIPELINE:
        return SamplerConfig(steps=50, guidance=5.0)
    if boundary_of(index) is not None:
        guidance, low = (3.5, 3.5) if picture else (4.0, 3.0)
        return SamplerConfig(steps=40, guidance=guidance, guidance_2=low)
    return SamplerConfig(steps=40 if picture else 50, guidance=5.0)


def own_settings(model: PipelineParts) -> OwnSettings:
    """The settings of a pipeline, with what its parts' configs add."""
    scheduler = {} if model.pipeline_class == DISTILLED_PIPELINE else part_config(model, "scheduler")
    channels = int(part_config(model, "vae").get("z_dim", 16))
    transformer = part_config(
        model, "transformer" if has_part(model.index, "transformer") else "transformer_2"
    )
    large = int(transformer.get("num_layers", 40)) > LAYERS_OF_1_3B
    shift = scheduler.get("flow_shift", scheduler.get("shift"))
    return OwnSettings(
        memory=MEMORY,
        sampler=sampler_of(model.index),
        fixed_steps=len(DISTILLED_TIMESTEPS) if model.pipeline_class == DISTILLED_PIPELINE else None,
        scheduler=SCHEDULER_NAMES.get(str(scheduler.get("_class_name"))),
        shift=None if shift is None else float(shift),
        negative_prompt=NEGATIVE_PROMPT if "negative_prompt" in abilities_of(model.index) else "",
        fps=FRAME_RATES.get(channels, 16.0),
        frames=1 + 4 * (TRAINED_FRAMES.get(channels, 21) - 1),
        frame_step=4,
        size=(1280, 704) if channels == 48 else (1280, 720) if large else (832, 480),
    )


def boundary_of(index: Mapping[str, Any]) -> float | None:
    """The noise level (0–1) below which the expert for low noise denoises; None for a single transformer."""
    boundary = index.get("boundary_ratio")
    return None if boundary is None else float(boundary)


def has_part(index: Mapping[str, Any], part: str) -> bool:
    """Whether a pipeline ships a part; one that it could have is named with a class of null."""
    value = index.get(part)
    return isinstance(value, list) and len(value) == 2 and all(isinstance(word, str) for word in value)


def needs_first_frame(index: Mapping[str, Any]) -> bool:
    """Whether each shot must start from a picture."""
    return index.get("_class_name") == PICTURE_PIPELINE and not index.get("expand_timesteps")


def abilities_of(index: Mapping[str, Any]) -> frozenset[Ability]:
    """What a pipeline can do.

    Step caches that replay what blocks add to their input would count the hints of a VACE model twice, which
    are added between its blocks: it has none.
    """
    kind = index.get("_class_name")
    found: set[Ability] = {"loras"}
    found |= {"control", "references", "first_frame"} if kind == CONTROL_PIPELINE else {"step_cache"}
    if kind != DISTILLED_PIPELINE:
        found |= {"scheduler", "negative_prompt", "guide"}
    if kind == PICTURE_PIPELINE or index.get("expand_timesteps"):
        found.add("first_frame")
    if has_part(index, "transformer_2"):
        found.add("two_experts")
    return frozenset(found)
