"""The family of Wan video models: captions through UMT5, latents through their variational autoencoder.

Shapes: C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from moc_engine.abilities import Ability
from moc_engine.config import SamplerConfig
from moc_engine.models.base import CaptionStates, ShotCondition, ShotPictures
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.latent_family import LatentFamily
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.caption_room import caption_states_of
from moc_engine.models.wan.defaults import (
    CONTROL_PIPELINE,
    MEMORY,
    ROUTING,
    abilities_of,
    frame_rate_of,
    needs_first_frame,
    negative_prompt_of,
    routing_of,
    sampler_of,
    trained_frames_of,
)
from moc_engine.models.wan.first_frames import FirstFrames
from moc_engine.models.wan.texts import CaptionEncoder
from moc_engine.models.wan.vace_control import VaceControl
from moc_engine.names import longest_mentions


class WanFamily(LatentFamily):
    """The family of a Wan pipeline, told apart by its model_index.json.

    Pictures are given to a transformer as its pipeline does (`FirstFrames`, `VaceControl`).
    """

    routing = ROUTING
    memory = MEMORY

    def __init__(self, index: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        transformer = parts.get("transformer") or parts["transformer_2"]
        over_time, over_height, over_width = transformer.config.patch_size
        channels = int(parts["vae"].config.z_dim)
        autoencoder = WanAutoencoder(parts["vae"], frame_rate_of(index, channels))
        super().__init__(autoencoder, (over_time, over_height, over_width))
        self.routing = routing_of(index)
        self.sampler: SamplerConfig = sampler_of(index)
        self.negative_prompt = negative_prompt_of(index)
        self.abilities: frozenset[Ability] = abilities_of(index)
        self.needs_first_frame = needs_first_frame(index)
        self._texts = CaptionEncoder(parts["tokenizer"], parts["text_encoder"], caption_states_of(index))
        self._conditions: FirstFrames | VaceControl = (
            VaceControl(autoencoder)
            if index.get("_class_name") == CONTROL_PIPELINE
            else FirstFrames(
                autoencoder,
                needed=self.needs_first_frame,
                image_states=transformer.config.image_dim is not None,
                image_encoder=parts.get("image_encoder"),
                image_processor=parts.get("image_processor"),
            )
        )
        self.trained_frames = trained_frames_of(index, channels)

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
            found.setdefault(cast[mention.name], set()).update(n for n in at if n < self._texts.room)
        return {name: sorted(found[name]) for name in cast if found.get(name)}

    def condition(self, pictures: ShotPictures, shape: Sequence[int]) -> ShotCondition | None:
        return self._conditions.condition(pictures, shape)

    def own_condition(self, latents_CFHW: Tensor) -> ShotCondition | None:
        return self._conditions.own_condition(latents_CFHW)
