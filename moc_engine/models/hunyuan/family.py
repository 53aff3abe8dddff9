"""The family of HunyuanVideo: captions through Llama and CLIP, latents through its autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.models.base import CaptionStates
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.hunyuan import published_settings
from moc_engine.models.hunyuan.latents import HunyuanAutoencoder
from moc_engine.models.hunyuan.prompts import CaptionEncoder
from moc_engine.models.latent_family import LatentFamily


class HunyuanFamily(LatentFamily):
    """The family of a HunyuanVideo pipeline, made of its loaded `parts`."""

    routing = RoutingConfig(top_k=5, chunking="frame", full_below="auto")
    memory = published_settings.MEMORY
    sampler: SamplerConfig = published_settings.SAMPLER
    negative_prompt = ""
    abilities = published_settings.ABILITIES
    trained_frames = published_settings.TRAINED_FRAMES

    def __init__(self, parts: Mapping[str, Any], patch: tuple[int, int, int]) -> None:
        super().__init__(HunyuanAutoencoder(parts["vae"]), patch)
        self._texts = CaptionEncoder(
            parts["tokenizer"], parts["text_encoder"], parts["tokenizer_2"], parts["text_encoder_2"]
        )

    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        return self._texts.states(global_caption, caption)

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        return self._texts.left_out(global_caption, caption)
