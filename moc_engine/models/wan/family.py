"""The family of Wan video models: captions through UMT5, latents through their variational autoencoder.

Shapes: B batch, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from moc_engine.abilities import Ability
from moc_engine.clip import Frame
from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.models.base import CaptionStates, ShotCondition, ShotPictures
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.latent_colours import LatentPreview
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.caption_room import TEXT_STATES
from moc_engine.models.wan.defaults import (
    CONTROL_PIPELINE,
    MEMORY,
    NEGATIVE_PROMPT,
    TRAINED_FRAMES,
    abilities_of,
    needs_first_frame,
    sampler_of,
)
from moc_engine.models.wan.first_frames import FirstFrames
from moc_engine.models.wan.texts import CaptionEncoder
from moc_engine.models.wan.vace_control import VaceControl
from moc_engine.names import longest_mentions


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
        over_time, over_height, over_width = transformer.config.patch_size
        self._patch = (over_time, over_height, over_width)
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
        self._preview = LatentPreview(self._autoencoder)
        self.trained_frames = TRAINED_FRAMES.get(self._autoencoder.channels, 21)

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        return self._autoencoder.latent_shape(seconds, size, self._patch)

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
