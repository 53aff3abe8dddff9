"""The encoders of a Wan model, for training on footage: its autoencoder and UMT5, without a transformer.

Shapes: C channels, F latent frames, H and W latent sides, T text states, D width of the states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from transformers import AutoTokenizer, UMT5EncoderModel

from moc_engine.clip import Frame
from moc_engine.models.caption_cache import CachedTextEncoder, part_identity
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.fitting import Fitting
from moc_engine.models.latent_space import decoder_digest
from moc_engine.models.part_digest import content_digest
from moc_engine.models.part_loading import load_part, load_settings, reading
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.texts import CaptionEncoder
from moc_engine.profiles import Profile
from moc_engine.sources.parts import PipelineParts


class WanEncoders:
    """`FootageEncoders` of a Wan pipeline; the text encoder is fitted to the device by a profile."""

    def __init__(self, model: PipelineParts, device: torch.device, profile: Profile) -> None:
        self._model = model
        self._device = device
        self._fitting = Fitting(profile, device)
        self._text_encoder: CachedTextEncoder | None = None

    @cached_property
    def _autoencoder(self) -> WanAutoencoder:
        # whole, in float32 and never in tiles, whose seams would be learnt
        vae = load_part(AutoencoderKLWan, self._model, "vae", extra_weights=True, dtype=torch.float32)
        return WanAutoencoder(vae.to(self._device))

    @cached_property
    def _texts(self) -> CaptionEncoder:
        def load() -> UMT5EncoderModel:
            dtype = self._fitting.dtype
            return load_part(UMT5EncoderModel, self._model, "text_encoder", extra_weights=True, dtype=dtype)

        identity = part_identity(self._model.part("text_encoder"), self._fitting.dtype)
        self._text_encoder = self._fitting.text_encoder(load, identity=identity, folder=None)
        return CaptionEncoder(load_settings(AutoTokenizer, self._model, "tokenizer"), self._text_encoder)

    @property
    def latent_space(self) -> str:
        return self._autoencoder.latent_space

    @cached_property
    def autoencoder_identity(self) -> str:
        vae = self._autoencoder.vae
        parts = [part for part in (vae.encoder, vae.quant_conv) if part is not None]
        return decoder_digest(parts, vae.config.latents_mean, vae.config.latents_std)

    @cached_property
    def text_encoder_identity(self) -> str:
        with reading(self._model, "text_encoder") as weights, reading(self._model, "tokenizer") as tokenizer:
            return content_digest(weights, tokenizer)

    @property
    def text_dtype(self) -> str:
        return str(self._fitting.dtype).removeprefix("torch.")

    def latents(self, frames: Sequence[Frame]) -> Tensor:
        video_NYX3 = torch.from_numpy(np.stack(frames))
        video_13NYX = video_NYX3.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        return self._autoencoder.encoded(video_13NYX)[0].cpu()

    def states(self, caption: str) -> Tensor:
        return self._texts.unpadded(caption).cpu()

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        return self._texts.left_out(global_caption, caption)

    def ended_by(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        return self._autoencoder.ended_by(check)

    def release_text_encoder(self) -> None:
        if self._text_encoder is not None:
            self._text_encoder.release()
