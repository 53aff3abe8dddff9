"""The family of HunyuanVideo: captions through Llama and CLIP, latents through its autoencoder.

Shapes: B batch, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.models.base import CaptionStates
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.hunyuan import published_settings
from moc_engine.models.hunyuan.latents import HunyuanAutoencoder
from moc_engine.models.hunyuan.prompts import CaptionEncoder
from moc_engine.models.latent_colours import LatentPreview


class HunyuanFamily:
    """The family of a HunyuanVideo pipeline, made of its loaded `parts`.

    Its frames are resampled to the size and rate asked for. A clip is decoded piece by piece; previews are
    not decoded.
    """

    routing = RoutingConfig(top_k=5, chunking="frame", full_below="auto")
    memory = published_settings.MEMORY
    sampler: SamplerConfig = published_settings.SAMPLER
    negative_prompt = ""
    abilities = published_settings.ABILITIES
    trained_frames = published_settings.TRAINED_FRAMES

    def __init__(self, parts: Mapping[str, Any], patch: tuple[int, int, int]) -> None:
        self._patch = patch
        self._texts = CaptionEncoder(
            parts["tokenizer"], parts["text_encoder"], parts["tokenizer_2"], parts["text_encoder_2"]
        )
        self._autoencoder = HunyuanAutoencoder(parts["vae"])
        self._preview = LatentPreview(self._autoencoder)

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        return self._autoencoder.latent_shape(seconds, size, self._patch)

    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        return self._texts.states(global_caption, caption)

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        return self._texts.left_out(global_caption, caption)

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return latents_BCFHW

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return predicted_BCFHW

    def frames_needed(self, shape: Sequence[int]) -> tuple[int, float]:
        return self._autoencoder.frames_of(shape[1]), self._autoencoder.rate

    def encoded(self, frames: Sequence[Frame], shape: Sequence[int]) -> Tensor:
        codec = self._autoencoder
        return codec.encoded(codec.prepared(frames, codec.pixels(shape)))[0]

    def moments(self, latent_frames: int) -> Sequence[float]:
        return self._autoencoder.moments(latent_frames)

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        return self._autoencoder.frames(latents_CFHW, seconds=seconds, fps=fps, size=size)

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        return self._preview.picture(latents_CFHW)
