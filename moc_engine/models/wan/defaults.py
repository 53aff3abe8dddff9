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

Scheduler and flow shift are those of a model's own scheduler_config.json. A model that was trained otherwise
than these says so in its model_index.json, by `trained_on` (`TrainedOn`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from moc_engine.abilities import Ability
from moc_engine.config import MemoryConfig, RoutingConfig, SamplerConfig
from moc_engine.errors import ModelMismatch
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

ROUTING: Final = RoutingConfig(top_k=5, chunking="frame", full_below="auto")
"""How shots route to earlier ones."""

NEGATIVE_PROMPT: Final = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，"
    "形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""Which the models' cards and examples render with, unlike diffusers' pipeline, whose default is none.

From github.com/Wan-Video/Wan2.2, `sample_neg_prompt` in `wan/configs/shared_config.py`: garish colours,
overexposed, static, blurred details, subtitles, deformed hands and faces, a crowded background, and so on.
"""


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """What a model was trained on that is none of the published ones: shots of `frames` frames of `size`
    (width, height) at `fps`, of which a latent frame stands for `frame_step`.

    Captions were padded to `caption_states`. It is rendered in `steps` with `guidance`, without a negative
    prompt, and routes `top_k` chunks.
    """

    fps: float
    frames: int
    size: tuple[int, int]
    frame_step: int = 1
    caption_states: int = 512
    steps: int = 20
    guidance: float = 1.0
    top_k: int = 3


def trained_on(index: Mapping[str, Any]) -> TrainedOn | None:
    """What a pipeline's `trained_on` says; None for one without. Raises `ModelMismatch` for a damaged one."""
    told = index.get("trained_on")
    if told is None:
        return None
    try:
        width, height = (int(side) for side in told["size"])
        found = TrainedOn(**{**told, "size": (width, height)})
        sizes = (found.frames, width, height, found.frame_step, found.caption_states)
        if not all(value > 0 for value in (found.fps, *sizes)):
            raise ValueError("fps, frames, size, frame_step and caption_states must be above 0")
        _sampler(found), _routing(found)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelMismatch(f"trained_on in model_index.json is damaged: {error}") from error
    return found


def _sampler(told: TrainedOn) -> SamplerConfig:
    return SamplerConfig(steps=told.steps, guidance=told.guidance)


def _routing(told: TrainedOn) -> RoutingConfig:
    return RoutingConfig(top_k=told.top_k, chunking="frame", full_below=0)


def routing_of(index: Mapping[str, Any]) -> RoutingConfig:
    """How shots of a pipeline route to earlier ones."""
    told = trained_on(index)
    return ROUTING if told is None else _routing(told)


def negative_prompt_of(index: Mapping[str, Any]) -> str:
    """The negative prompt that a pipeline is rendered with."""
    return NEGATIVE_PROMPT if trained_on(index) is None else ""


def frame_rate_of(index: Mapping[str, Any], channels: int) -> float:
    """The frames a second that a pipeline makes, of so many latent channels."""
    told = trained_on(index)
    return FRAME_RATES.get(channels, 16.0) if told is None else told.fps


def trained_frames_of(index: Mapping[str, Any], channels: int) -> int:
    """The latent frames of the shots that a pipeline was trained on."""
    told = trained_on(index)
    return TRAINED_FRAMES.get(channels, 21) if told is None else 1 + (told.frames - 1) // told.frame_step


def sampler_of(index: Mapping[str, Any]) -> SamplerConfig:
    """The settings that a pipeline is rendered with."""
    told = trained_on(index)
    if told is not None:
        return _sampler(told)
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
    told = trained_on(model.index)
    over_time = 4 if told is None else told.frame_step
    usual = (1280, 704) if channels == 48 else (1280, 720) if large else (832, 480)
    return OwnSettings(
        memory=MEMORY,
        sampler=sampler_of(model.index),
        fixed_steps=len(DISTILLED_TIMESTEPS) if model.pipeline_class == DISTILLED_PIPELINE else None,
        scheduler=SCHEDULER_NAMES.get(str(scheduler.get("_class_name"))),
        shift=None if shift is None else float(shift),
        negative_prompt=(
            negative_prompt_of(model.index) if "negative_prompt" in abilities_of(model.index) else ""
        ),
        fps=frame_rate_of(model.index, channels),
        frames=1 + over_time * (trained_frames_of(model.index, channels) - 1),
        frame_step=over_time,
        size=usual if told is None else told.size,
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
    found |= (
        {"control", "references", "first_frame"}
        if kind == CONTROL_PIPELINE
        else {
            "step_cache",
            "processes",
        }
    )
    if kind != DISTILLED_PIPELINE:
        found |= {"scheduler", "negative_prompt", "guide"}
    if kind == PICTURE_PIPELINE or index.get("expand_timesteps"):
        found.add("first_frame")
    if has_part(index, "transformer_2"):
        found.add("two_experts")
    return frozenset(found)
