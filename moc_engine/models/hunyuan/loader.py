"""Loads a HunyuanVideo pipeline as a `Backbone`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import torch
from diffusers import AutoencoderKLHunyuanVideo, HunyuanVideoTransformer3DModel
from transformers import AutoTokenizer, CLIPTextModel, LlamaModel

from moc_engine.errors import ModelMismatch
from moc_engine.machine import cache_folder
from moc_engine.models.backbone import Backbone
from moc_engine.models.caption_cache import part_identity
from moc_engine.models.fitting import Fitting
from moc_engine.models.hunyuan.family import HunyuanFamily
from moc_engine.models.hunyuan.latents import HunyuanAutoencoder
from moc_engine.models.hunyuan.lora_layers import read_lora
from moc_engine.models.hunyuan.prompt_room import TEMPLATE, TEMPLATE_TOKENS
from moc_engine.models.hunyuan.prompts import SKIPPED_LAYERS, StatesBeforeLast
from moc_engine.models.hunyuan.transformer import HunyuanAdapter
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.part_loading import load_part, load_settings
from moc_engine.models.registry import LoadedParts
from moc_engine.models.schedulers import scheduler_class
from moc_engine.profiles import Profile
from moc_engine.sources.parts import PipelineParts

WEIGHTS: Final[dict[str, Any]] = {
    "text_encoder": LlamaModel,
    "text_encoder_2": CLIPTextModel,
    "vae": AutoencoderKLHunyuanVideo,
    "transformer": HunyuanVideoTransformer3DModel,
}
"""The parts with weights, in the order in which they are loaded."""


def load_parts(
    model: PipelineParts, device: torch.device, profile: Profile
) -> Generator[LoadedParts, None, Backbone]:
    """Yields before each part and at the end.

    Raises `ModelMismatch` for a model that starts from pictures, or whose weights are not all there;
    `ModelNotFound` for what cannot be read.
    """
    fitting = Fitting(profile, device)
    parts: dict[str, Any] = {}
    for done, (name, kind) in enumerate(WEIGHTS.items()):
        yield LoadedParts(done=done, parts=len(WEIGHTS), part=name)
        parts[name] = _fitted(fitting, model, name, kind)
    for name in ("tokenizer", "tokenizer_2"):
        parts[name] = load_settings(AutoTokenizer, model, name)
    yield LoadedParts(done=len(WEIGHTS), parts=len(WEIGHTS), part=None)
    adapter = HunyuanAdapter(parts["transformer"])
    if parts["transformer"].config.image_condition_type is not None:
        raise ModelMismatch(
            f"{model.source} starts each shot from a picture; of HunyuanVideo the engine drives text to video"
        )
    return Backbone(
        name=model.name,
        adapter=adapter,
        scheduler=load_settings(scheduler_class(model), model, "scheduler"),
        family=HunyuanFamily(parts, adapter.patch),
        device=device,
        latent_space=HunyuanAutoencoder(parts["vae"]).latent_space,
        loras=LoraAdapters({"high": parts["transformer"]}, read_lora, fitting.dtype),
        profile=profile,
    )


def _fitted(fitting: Fitting, model: PipelineParts, name: str, kind: Any) -> Any:
    """One part, loaded and put where the profile has it."""

    def load(**options: Any) -> Any:
        halves = torch.float16 if name == "vae" and fitting.device.type == "cuda" else fitting.dtype
        unused = name != "transformer"  # such as a head, or a projection
        return load_part(kind, model, name, extra_weights=unused, dtype=halves, **options)

    match name:
        case "text_encoder":
            return fitting.text_encoder(
                lambda: StatesBeforeLast(load()),
                identity=part_identity(
                    model.part(name), fitting.dtype, TEMPLATE, TEMPLATE_TOKENS, SKIPPED_LAYERS
                ),
                folder=cache_folder() / "captions",
                loaded=StatesBeforeLast(load()),
            )
        case "text_encoder_2":
            return fitting.encoder(load(), name)
        case "vae":
            return fitting.autoencoder(load())
    quantised = model.part(name).path.suffix == ".gguf"
    options = fitting.transformer_options(quantised=quantised)
    return fitting.transformer(load(**options), name, quantised=quantised)
