"""Loads a pipeline of the Wan family as a `Backbone`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    UMT5EncoderModel,
)

from moc_engine.errors import ModelMismatch
from moc_engine.machine import cache_folder
from moc_engine.models.backbone import Backbone
from moc_engine.models.caption_cache import part_identity
from moc_engine.models.fitting import Fitting
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.part_loading import load_part, load_settings
from moc_engine.models.registry import LoadedParts
from moc_engine.models.schedulers import scheduler_class
from moc_engine.models.vace_adapter import VaceAdapter
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.defaults import (
    CONTROL_PIPELINE,
    DISTILLED_PIPELINE,
    DISTILLED_TIMESTEPS,
    boundary_of,
)
from moc_engine.models.wan.distilled import SHIFTS, DistilledScheduler
from moc_engine.models.wan.family import WanFamily
from moc_engine.models.wan.lora_reading import read_lora
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.profiles import Profile
from moc_engine.sources.part_files import read_json
from moc_engine.sources.parts import PipelineParts

WEIGHTS: Final[dict[str, Any]] = {
    "text_encoder": UMT5EncoderModel,
    "image_encoder": CLIPVisionModel,
    "vae": AutoencoderKLWan,
    "transformer": WanTransformer3DModel,
    "transformer_2": WanTransformer3DModel,
}
"""The parts with weights, in the order in which they are loaded."""

TRANSFORMERS: Final = ("transformer", "transformer_2")

OPTIONAL: Final = ("image_encoder", "transformer", "transformer_2")
"""Parts that a pipeline may ship without."""

IN_FULL: Final = ("image_encoder", "vae")
"""Parts in float32 on every device, as the models' cards load them."""

ALSO_READ: Final[dict[str, Any]] = {"image_encoder": CLIPVisionModelWithProjection}
"""Another class that a part may be of: the states used are the same."""


def load_parts(
    model: PipelineParts,
    device: torch.device,
    profile: Profile,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[LoadedParts, None, Backbone]:
    """Yields before each part and at the end. Parts that are `given` are taken as they are.

    Raises `ModelMismatch` for a model without the transformers that its boundary asks for, or whose weights
    are not all there; `ModelNotFound` for what cannot be read.
    """
    boundary = _checked_boundary(model)
    _check_pictures(model)
    fitting = Fitting(profile, device)
    kinds = {name: kind for name, kind in WEIGHTS.items() if name not in OPTIONAL or model.class_of(name)}
    if model.pipeline_class == CONTROL_PIPELINE:
        kinds |= {name: WanVACETransformer3DModel for name in TRANSFORMERS if name in kinds}
    parts: dict[str, Any] = {}
    for done, (name, kind) in enumerate(kinds.items()):
        other = ALSO_READ.get(name)
        kind = kind if other is None or model.class_of(name) != other.__name__ else other
        yield LoadedParts(done=done, parts=len(kinds), part=name)
        parts[name] = given[name] if name in given else _fitted(fitting, model, name, kind)
    parts["tokenizer"] = load_settings(AutoTokenizer, model, "tokenizer")
    if "image_encoder" in parts:
        parts["image_processor"] = load_settings(CLIPImageProcessor, model, "image_processor")
    yield LoadedParts(done=len(kinds), parts=len(kinds), part=None)
    return replace(_assembled(model, parts, boundary, device), profile=profile)


def _fitted(fitting: Fitting, model: PipelineParts, name: str, kind: Any) -> Any:
    """One part, loaded and put where the profile has it."""

    def load(**options: Any) -> Any:
        dtype = torch.float32 if name in IN_FULL else fitting.dtype
        unused = name not in TRANSFORMERS  # such as a decoder, or a projection
        return load_part(kind, model, name, extra_weights=unused, dtype=dtype, **options)

    if name == "text_encoder":
        identity = part_identity(model.part(name), fitting.dtype)
        folder = cache_folder() / "captions"
        return fitting.text_encoder(load, identity=identity, folder=folder, loaded=load())
    if name in TRANSFORMERS:
        quantised = model.part(name).path.suffix == ".gguf"
        options = fitting.transformer_options(quantised=quantised)
        return fitting.transformer(load(**options), name, quantised=quantised)
    return fitting.autoencoder(load()) if name == "vae" else fitting.encoder(load(), name)


def _assembled(
    model: PipelineParts, parts: dict[str, Any], boundary: float | None, device: torch.device
) -> Backbone:
    """The backbone of loaded parts; of two experts, the one for high noise with that for low noise in it."""
    transformers = {"high": parts.get("transformer"), "low": parts.get("transformer_2")}
    there = {name: transformer for name, transformer in transformers.items() if transformer is not None}
    first = next(iter(there.values()))
    backbone = Backbone(
        name=model.name,
        adapter=_adapter(first),
        scheduler=_scheduler(model, parts["vae"].config.z_dim),
        family=WanFamily(model.index, parts),
        device=device,
        boundary=boundary or 0.0,
        own_levels=True,
        latent_space=WanAutoencoder(parts["vae"]).latent_space,
        loras=LoraAdapters(there, read_lora, first.dtype),
    )
    if len(there) == 1:
        return backbone
    low_noise = replace(backbone, adapter=_adapter(there["low"]), expert="low")
    return replace(backbone, expert="high", low_noise=low_noise)


def _adapter(transformer: Any) -> WanAdapter:
    vace = isinstance(transformer, WanVACETransformer3DModel)
    return VaceAdapter(transformer) if vace else WanAdapter(transformer)


def _checked_boundary(model: PipelineParts) -> float | None:
    """The boundary of a model's experts, if it has some; every noise level must have a transformer."""
    boundary = boundary_of(model.index)
    high, low = (bool(model.class_of(name)) for name in ("transformer", "transformer_2"))
    if not (high or low):
        raise ModelMismatch(f"{model.source} has no transformer")
    if boundary is None or boundary <= 0.0:
        lacking = None if high else "transformer"
    elif boundary >= 1.0:
        lacking = None if low else "transformer_2"
    else:
        lacking = None if high and low else "transformer_2" if high else "transformer"
    if lacking is not None:
        raise ModelMismatch(
            f"{model.source} lacks its {lacking}: its boundary_ratio is {boundary}, so that one transformer "
            "alone cannot denoise at every noise level"
        )
    return boundary


def _check_pictures(model: PipelineParts) -> None:
    """Raises `ModelMismatch` for a model that cannot be given its pictures.

    They are models that need one of the last frame too (FLF2V), and VACE models of another control than that
    of their autoencoder, or whose tokens stand for several latent frames: one is a reference picture.
    """
    for name in TRANSFORMERS:
        if model.class_of(name) is None:
            continue
        config = read_json(model.part(name).config_folder / "config.json")
        if config.get("pos_embed_seq_len") is not None:
            raise ModelMismatch(
                f"{model.source} needs a first and a last picture of each shot; the engine gives it the first"
            )
        if model.pipeline_class == CONTROL_PIPELINE:
            wanted = _control_channels(read_json(model.part("vae").config_folder / "config.json"))
            channels, patch = config.get("vace_in_channels"), config.get("patch_size", (1, 2, 2))
            if channels != wanted or patch[0] != 1:
                raise ModelMismatch(
                    f"{model.source}: its {name} reads {channels} channels of control and {patch[0]} latent "
                    f"frames a token, where {wanted} and 1 go with its autoencoder"
                )


def _control_channels(autoencoder: Mapping[str, Any]) -> int:
    """Of a control: latents of what stays and of what is made anew, and a mask for each pixel of a latent."""
    pixels = int(autoencoder.get("scale_factor_spatial", 8))
    return 2 * int(autoencoder.get("z_dim", 16)) + pixels**2


def _scheduler(model: PipelineParts, channels: int) -> Any:
    if model.pipeline_class == DISTILLED_PIPELINE:
        return DistilledScheduler(DISTILLED_TIMESTEPS, SHIFTS.get(channels, 8.0))
    return load_settings(scheduler_class(model), model, "scheduler")
