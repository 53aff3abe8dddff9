"""The family of Wan video models: captions through UMT5, latents through their variational autoencoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from moc_engine.abilities import Ability
from moc_engine.clip import Frame
from moc_engine.config import MemoryConfig, RoutingConfig, SamplerConfig
from moc_engine.models.base import CaptionStates
from moc_engine.names import longest_mentions

TEXT_STATES: Final = 512
"""Wan was trained on captions padded with zeros to so many states, all of which it attends to."""

FRAME_RATES: Final = {16: 16.0, 48: 24.0}
"""Frames a second by the number of latent channels: Wan 2.1 has 16, Wan 2.2 (5B) has 48."""

PREVIEW_SIDE: Final = 32
"""Latents along the longer side of a preview: 256 pixels where a latent stands for 8."""


class WanFamily:
    """The family of a `WanPipeline`. Its frames are resampled to the size and rate asked for.

    A clip is decoded as a whole before its first frame is returned, as the decoder is causal over time.
    """

    routing = RoutingConfig(top_k=5, chunking="frame", full_below="auto")
    sampler = SamplerConfig(steps=50, guidance=5.0)
    memory = MemoryConfig()
    negative_prompt = ""
    abilities: frozenset[Ability] = frozenset({"loras"})

    def __init__(self, pipeline: Any) -> None:
        self._tokenizer = pipeline.tokenizer
        self._text_encoder = pipeline.text_encoder.eval()
        self._vae = pipeline.vae.eval()
        self._patch = tuple(pipeline.transformer.config.patch_size)
        self._channels = int(self._vae.config.z_dim)
        self._rate = FRAME_RATES.get(self._channels, 16.0)

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        over_time, over_space = self._vae.config.scale_factor_temporal, self._vae.config.scale_factor_spatial
        frames = 1 + round(max(0.0, seconds * self._rate - 1) / over_time)
        frames = max(self._patch[0], -(-frames // self._patch[0]) * self._patch[0])
        width, height = (
            max(1, round(side / over_space / patch)) * patch
            for side, patch in zip(size, (self._patch[2], self._patch[1]), strict=True)
        )
        return self._channels, frames, height, width

    @torch.no_grad()
    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        parts = [self._states(text) for text in (global_caption, caption) if text.strip()]
        states = torch.cat(parts or [self._states("")])[:TEXT_STATES]
        padding = states.new_zeros(TEXT_STATES - len(states), states.shape[1])
        return CaptionStates(states_BSE=torch.cat((states, padding))[None])

    def mentions(self, global_caption: str, caption: str, cast: Sequence[str]) -> Mapping[str, Sequence[int]]:
        if not (cast and self._tokenizer.is_fast):  # others do not tell which token is where
            return {}
        before = self._read(_plain(global_caption)).input_ids.shape[1] if global_caption.strip() else 0
        words = _plain(caption)
        read = self._read(words)
        found: dict[str, set[int]] = {}
        for mention in longest_mentions(words, cast):
            tokens = {read.char_to_token(at) for at in range(mention.start, mention.end)} - {None}
            at = {before + token for token in tokens}
            found.setdefault(cast[mention.name], set()).update(n for n in at if n < TEXT_STATES)
        return {name: sorted(found[name]) for name in cast if found.get(name)}

    def _read(self, words: str) -> Any:
        """The tokens of one caption, without padding."""
        return self._tokenizer(words, truncation=True, max_length=TEXT_STATES, return_tensors="pt")

    def _states(self, text: str) -> Tensor:
        """The states (S, E) of one caption, without padding."""
        read = self._read(_plain(text)).to(self._text_encoder.device)
        states: Tensor = self._text_encoder(read.input_ids, read.attention_mask).last_hidden_state[0]
        return states

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return latents_BCFHW

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return predicted_BCFHW

    def moments(self, latent_frames: int) -> Sequence[float]:
        """The first latent stands for one frame, each further one for `scale_factor_temporal` frames."""
        joined = self._vae.config.scale_factor_temporal
        return [max(0.0, joined * nth - (joined - 1) / 2) / self._rate for nth in range(latent_frames)]

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        pixels_3FHW = self._decoded(latents_CFHW)
        last = pixels_3FHW.shape[1] - 1
        for nth in range(max(1, round(seconds * fps))):
            frame = _frame(pixels_3FHW[:, min(last, int((nth + 0.5) / fps * self._rate))])
            yield frame if frame.shape[1::-1] == size else _resized(frame, size)

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        middle = latents_CFHW.shape[1] // 2
        latents_C1HW = latents_CFHW[:, middle : middle + 1]
        scale = PREVIEW_SIDE / max(latents_C1HW.shape[2:])
        if scale < 1:
            sides = [max(1, round(side * scale)) for side in latents_C1HW.shape[2:]]
            latents_C1HW = interpolate(latents_C1HW.float(), [*sides], mode="area")
        return _frame(self._decoded(latents_C1HW)[:, 0])

    @torch.no_grad()
    def _decoded(self, latents_CFHW: Tensor) -> Tensor:
        """Frames (3, F, H, W) within -1 and 1."""
        config = self._vae.config
        latents = latents_CFHW.to(self._vae.device, self._vae.dtype)
        mean, std = (
            latents.new_tensor(x).view(-1, 1, 1, 1) for x in (config.latents_mean, config.latents_std)
        )
        decoded: Tensor = self._vae.decode((latents * std + mean)[None], return_dict=False)[0][0]
        return decoded


def _plain(text: str) -> str:
    """The text with single spaces, as the tokenizer expects it."""
    return " ".join(text.split())


def _frame(pixels_3HW: Tensor) -> Frame:
    levels = ((pixels_3HW.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def _resized(frame: Frame, size: tuple[int, int]) -> Frame:
    shrinking = frame.shape[1] > size[0]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size, interpolation=method), dtype=np.uint8)
