"""The family of Wan video models: captions through UMT5, latents through their variational autoencoder.

Shapes: B batch, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from moc_engine.abilities import Ability
from moc_engine.clip import Frame
from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.machine import cache_folder
from moc_engine.models.base import CaptionStates, ShotCondition, ShotPictures
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.pixels import as_frame, resized
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.caption_room import TEXT_STATES
from moc_engine.models.wan.decoding import decoded_pieces
from moc_engine.models.wan.defaults import (
    CONTROL_PIPELINE,
    FRAME_RATES,
    MEMORY,
    NEGATIVE_PROMPT,
    TRAINED_FRAMES,
    abilities_of,
    needs_first_frame,
    sampler_of,
)
from moc_engine.models.wan.first_frames import FirstFrames
from moc_engine.models.wan.preview import LatentColours, latent_colours
from moc_engine.models.wan.texts import CaptionEncoder
from moc_engine.models.wan.vace_control import VaceControl
from moc_engine.names import longest_mentions

PREVIEW_SIDE: Final = 256
"""Pixels along the longer side of a preview, at most."""


class WanFamily:
    """The family of a Wan pipeline, told apart by its model_index.json.

    Its frames are resampled to the size and rate asked for. A clip is decoded one latent frame
    after the other; previews are not decoded. Pictures are given to a transformer as its pipeline does
    (`FirstFrames`, `VaceControl`).
    """

    routing = RoutingConfig(top_k=5, chunking="frame", full_below="auto")
    memory = MEMORY
    negative_prompt = NEGATIVE_PROMPT

    def __init__(self, index: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.sampler: SamplerConfig = sampler_of(index)
        self.abilities: frozenset[Ability] = abilities_of(index)
        self.needs_first_frame = needs_first_frame(index)
        self._texts = CaptionEncoder(parts["tokenizer"], parts["text_encoder"])
        self._autoencoder = WanAutoencoder(parts["vae"])
        transformer = parts.get("transformer") or parts["transformer_2"]
        self._patch = tuple(transformer.config.patch_size)
        self._conditions: FirstFrames | VaceControl = (
            VaceControl(self._autoencoder)
            if index.get("_class_name") == CONTROL_PIPELINE
            else FirstFrames(
                self._autoencoder,
                needed=self.needs_first_frame,
                image_states=transformer.config.image_dim is not None,
                image_encoder=parts.get("image_encoder"),
                image_processor=parts.get("image_processor"),
            )
        )
        self._colours: LatentColours | None = None
        self._rate = FRAME_RATES.get(self._autoencoder.channels, 16.0)
        self.trained_frames = TRAINED_FRAMES.get(self._autoencoder.channels, 21)

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        over_time, over_space = self._autoencoder.over_time, self._autoencoder.over_space
        frames = 1 + round(max(0.0, seconds * self._rate - 1) / over_time)
        frames = max(self._patch[0], -(-frames // self._patch[0]) * self._patch[0])
        width, height = (
            max(1, round(side / over_space / patch)) * patch
            for side, patch in zip(size, (self._patch[2], self._patch[1]), strict=True)
        )
        return self._autoencoder.channels, frames, height, width

    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        return CaptionStates(states_BSE=self._texts.states(global_caption, caption))

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        return self._texts.left_out(global_caption, caption)

    def mentions(self, global_caption: str, caption: str, cast: Sequence[str]) -> Mapping[str, Sequence[int]]:
        if not (cast and caption.strip() and self._texts.tells_positions):
            return {}
        before = self._texts.own_start(global_caption, caption)
        words, read = self._texts.read_own(caption)
        found: dict[str, set[int]] = {}
        for mention in longest_mentions(words, cast):
            tokens = {read.char_to_token(at) for at in range(mention.start, mention.end)} - {None}
            at = {before + token for token in tokens}
            found.setdefault(cast[mention.name], set()).update(n for n in at if n < TEXT_STATES)
        return {name: sorted(found[name]) for name in cast if found.get(name)}

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return latents_BCFHW

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return predicted_BCFHW

    def condition(self, pictures: ShotPictures, shape: Sequence[int]) -> ShotCondition | None:
        return self._conditions.condition(pictures, shape)

    def own_condition(self, latents_CFHW: Tensor) -> ShotCondition | None:
        return self._conditions.own_condition(latents_CFHW)

    def frames_needed(self, shape: Sequence[int]) -> tuple[int, float]:
        return self._autoencoder.frames_of(shape[1]), self._rate

    def encoded(self, frames: Sequence[Frame], shape: Sequence[int]) -> Tensor:
        codec = self._autoencoder
        return codec.encoded(codec.prepared(frames, codec.pixels(shape)))[0]

    def moments(self, latent_frames: int) -> Sequence[float]:
        """The first latent stands for one frame, each further one for `scale_factor_temporal` frames."""
        joined = self._autoencoder.over_time
        return [max(0.0, joined * nth - (joined - 1) / 2) / self._rate for nth in range(latent_frames)]

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        pieces = decoded_pieces(self._autoencoder.vae, latents_CFHW)
        first, piece_3NYX = 0, next(pieces)
        last = self._autoencoder.frames_of(latents_CFHW.shape[1]) - 1
        for nth in range(max(1, round(seconds * fps))):
            wanted = min(last, int((nth + 0.5) / fps * self._rate))
            while wanted >= first + piece_3NYX.shape[1]:
                first += piece_3NYX.shape[1]
                piece_3NYX = next(pieces)
            frame = as_frame(piece_3NYX[:, wanted - first])
            yield frame if frame.shape[1::-1] == size else resized(frame, size)

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        if self._colours is None:
            self._colours = latent_colours(self._autoencoder.vae, cache_folder() / "latent-colours")
        small = as_frame(self._colours.picture(latents_CFHW[:, latents_CFHW.shape[1] // 2]))
        over = min(self._autoencoder.over_space, PREVIEW_SIDE / max(small.shape[:2]))
        height, width = (max(1, round(side * over)) for side in small.shape[:2])
        return resized(small, (width, height))
