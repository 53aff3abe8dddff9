"""First frames of Wan's picture-to-video models, as their transformers are given them.

Shapes: C channels, F latent frames, H and W latent sides, I image states, E width of the states.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.models.base import ShotCondition, ShotPictures
from moc_engine.models.pixels import as_frame, cropped
from moc_engine.models.wan.autoencoder import WanAutoencoder


class FirstFrames:
    """Conditions of shots that start from a picture.

    A model that needs one is given it as channels beside the latents, and where it has `image_states` through
    its image encoder; any other as the first latent frame (`expand_timesteps`).
    """

    def __init__(
        self,
        autoencoder: WanAutoencoder,
        *,
        needed: bool,
        image_states: bool,
        image_encoder: Any = None,
        image_processor: Any = None,
    ) -> None:
        self._autoencoder = autoencoder
        self._needed = needed
        self._image_states = image_states
        self._image_encoder = image_encoder
        self._image_processor = image_processor
        self._kept: tuple[tuple[object, ...], ShotCondition] | None = None

    def condition(self, pictures: ShotPictures, shape: Sequence[int]) -> ShotCondition | None:
        """As `TakesPictures`. The last one is kept: experts and portraits ask for it one by one."""
        picture = pictures.first
        if picture is None:
            return None
        asked = (sha256(picture.tobytes()).hexdigest(), picture.shape, tuple(shape))
        if self._kept is None or self._kept[0] != asked:
            self._kept = asked, self._encoded(picture, shape)
        return self._kept[1]

    def own_condition(self, latents_CFHW: Tensor) -> ShotCondition | None:
        """As `TakesPictures`: its own first frame where the model needs one."""
        if not self._needed:
            return None
        pixels_3NYX = self._autoencoder.decoded(latents_CFHW[:, :1])
        return self.condition(ShotPictures(first=as_frame(pixels_3NYX[:, 0])), latents_CFHW.shape)

    def _encoded(self, picture: Frame, shape: Sequence[int]) -> ShotCondition:
        codec = self._autoencoder
        size = codec.pixels(shape)
        image_13NYX = codec.prepared([picture], size)
        if not self._needed:
            return ShotCondition(first_BCFHW=codec.encoded(image_13NYX))
        blank = image_13NYX.new_zeros(1, 3, codec.frames_of(shape[1]) - 1, size[1], size[0])
        latents_1CFHW = codec.encoded(torch.cat((image_13NYX, blank), dim=2))
        given = latents_1CFHW.new_zeros(1, codec.over_time, *shape[1:])
        given[:, :, 0] = 1.0
        return ShotCondition(
            channels_BCFHW=torch.cat((given, latents_1CFHW), dim=1),
            states_BIE=self._states_of(picture, size) if self._image_states else None,
        )

    @torch.no_grad()
    def _states_of(self, picture: Frame, size: tuple[int, int]) -> Tensor:
        """The image encoder's states (1, I, E) before its last layer."""
        assert self._image_encoder is not None
        assert self._image_processor is not None
        image = cropped(Image.fromarray(picture), size)
        read = self._image_processor(images=image, return_tensors="pt").to(self._image_encoder.device)
        states: Tensor = self._image_encoder(**read, output_hidden_states=True).hidden_states[-2]
        return states
