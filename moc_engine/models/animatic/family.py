"""The animatic family: the grammar normalises captions, the rasterizer draws latents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.config import MemoryConfig, RoutingConfig
from moc_engine.models.animatic.appearance import VISIBLE, looks
from moc_engine.models.animatic.codec import AnimaticCodec
from moc_engine.models.animatic.grammar import CAST_TOKENS
from moc_engine.models.animatic.marks import with_marks
from moc_engine.models.animatic.model import AnimaticPipeline, encode_texts, shot_text, story_text, velocity
from moc_engine.models.animatic.published import ABILITIES, SAMPLER
from moc_engine.models.animatic.rasterizer.blocking import boxes
from moc_engine.models.animatic.scene import (
    CHANNELS,
    LATENT_RATE,
    PROPS,
    SETS,
    SLOT_NAMES,
    SLOTS,
    Scene,
    Track,
    frame_times,
    frames_for,
)
from moc_engine.models.base import CaptionStates, Looks
from moc_engine.trace.record import EMPTY

PREVIEW_SIDE: Final = 320
"""The longer side of a preview, in pixels."""


class AnimaticFamily:
    """The family whose latents are scenes: one column of `SLOTS` named slots per latent frame."""

    routing = RoutingConfig()
    sampler = SAMPLER
    memory = MemoryConfig()
    negative_prompt = ""
    abilities = ABILITIES

    def __init__(self, pipeline: AnimaticPipeline) -> None:
        self._tokenizer = pipeline.tokenizer
        self._text_encoder = pipeline.text_encoder.eval()
        self._smoother = pipeline.smoother.eval()
        self._codec = lru_cache(maxsize=2)(AnimaticCodec)

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        return CHANNELS, frames_for(seconds), SLOTS, 1

    @torch.no_grad()
    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        texts = (story_text(global_caption, cast), shot_text(caption, cast))
        states, mask = encode_texts(self._tokenizer, self._text_encoder, texts)
        return CaptionStates(states_BSE=states.flatten(0, 1)[None], mask_BS=mask.flatten()[None])

    def mentions(self, global_caption: str, caption: str, cast: Sequence[str]) -> Mapping[str, Sequence[int]]:
        texts = (story_text(global_caption, cast), shot_text(caption, cast))
        _, own = self._tokenizer(list(texts), padding=True, truncation=True).input_ids
        tokens = self._tokenizer.convert_ids_to_tokens(own)
        found = {
            name: [len(own) + nth for nth, token in enumerate(tokens) if token == word]
            for name, word in zip(cast, CAST_TOKENS, strict=False)
        }
        return {name: at for name, at in found.items() if at}

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return with_marks(latents_BCFHW)

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return velocity(latents_BCFHW, self._smoother(predicted_BCFHW), level)

    def slot_names(self, latents_CFHW: Tensor, cast: Sequence[str]) -> Sequence[str]:
        scene = _scene(latents_CFHW)
        names = list(SLOT_NAMES)
        names[scene.set.slot] = SETS[_largest_weight(scene.set, "kind")]
        for track in (*scene.characters, *scene.props):
            if not _is_present(track):
                names[track.slot] += EMPTY
        for track in filter(_is_present, scene.characters):
            who = _largest_weight(track, "cast")
            names[track.slot] = cast[who] if who < len(cast) else names[track.slot]
        for track in filter(_is_present, scene.props):
            names[track.slot] = PROPS[_largest_weight(track, "kind")]
        return names

    def moments(self, latent_frames: int) -> Sequence[float]:
        return [float(moment) for moment in frame_times(latent_frames)]

    def boxes(self, latents_CFHW: Tensor, size: tuple[int, int]) -> NDArray[np.float64]:
        return boxes(_scene(latents_CFHW), size)

    def looks(self, latents_CFHW: Tensor) -> Looks:
        return Looks(vectors=looks(_scene(latents_CFHW)), visible=VISIBLE)

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        return self._codec(size, fps).frames(_scene(latents_CFHW), seconds)

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        scale = min(1.0, PREVIEW_SIDE / max(size))
        width, height = (max(16, round(side * scale)) for side in size)
        return self._codec((width, height), LATENT_RATE).preview(_scene(latents_CFHW), seconds / 2)


def _is_present(track: Track) -> bool:
    return float(track["presence"].max()) > 0.5


def _largest_weight(track: Track, field: str) -> int:
    """The index of the weight of a field with the largest mean over the shot."""
    return int(track[field].mean(axis=0).argmax())


def _scene(latents_CFHW: Tensor) -> Scene:
    """The scene of latents (CHANNELS, F, SLOTS, 1)."""
    return AnimaticCodec.decode(latents_CFHW[..., 0].permute(1, 2, 0).float().cpu().numpy())
