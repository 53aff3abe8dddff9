"""The family of HunyuanVideo: captions through Llama and CLIP, latents through its autoencoder.

Shapes: B batch, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from torch import Tensor
from torch.nn.functional import interpolate

from moc_engine.clip import Frame
from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.models.base import CaptionStates
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.hunyuan import published_settings
from moc_engine.models.hunyuan.prompts import CaptionEncoder
from moc_engine.models.hunyuan.video_decoder import HunyuanAutoencoder
from moc_engine.models.pixels import as_frame, resized

PREVIEW_SIDE: Final = 32
"""Latents along the longer side of a preview, at most."""


class HunyuanFamily:
    """The family of a HunyuanVideo pipeline, made of its loaded `parts`.

    Its frames are resampled to the size and rate asked for. Previews are a shrunken latent frame, decoded.
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

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        codec, over_time = self._autoencoder, self._patch[0]
        frames = 1 + round(max(0.0, seconds * published_settings.RATE - 1) / codec.over_time)
        width, height = (
            max(1, round(side / codec.over_space / patch)) * patch
            for side, patch in zip(size, (self._patch[2], self._patch[1]), strict=True)
        )
        return codec.channels, -(-frames // over_time) * over_time, height, width

    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        return self._texts.states(global_caption, caption)

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        return self._texts.left_out(global_caption, caption)

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return latents_BCFHW

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return predicted_BCFHW

    def moments(self, latent_frames: int) -> Sequence[float]:
        """The first latent stands for one frame, each further one for as many as are compressed into it."""
        joined = self._autoencoder.over_time
        return [
            max(0.0, joined * nth - (joined - 1) / 2) / published_settings.RATE
            for nth in range(latent_frames)
        ]

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        pixels_3NYX = self._autoencoder.decoded(latents_CFHW)
        last = pixels_3NYX.shape[1] - 1
        for nth in range(max(1, round(seconds * fps))):
            frame = as_frame(pixels_3NYX[:, min(last, int((nth + 0.5) / fps * published_settings.RATE))])
            yield frame if frame.shape[1::-1] == size else resized(frame, size)

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        middle = latents_CFHW[:, latents_CFHW.shape[1] // 2]
        scale = min(1.0, PREVIEW_SIDE / max(middle.shape[1:]))
        small = [max(1, round(side * scale)) for side in middle.shape[1:]]
        return as_frame(
            self._autoencoder.decoded(interpolate(middle[None], small, mode="area")[0, :, None])[:, 0]
        )
