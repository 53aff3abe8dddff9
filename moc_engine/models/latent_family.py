"""What families share whose transformers predict the velocity of an autoencoder's latents.

Shapes: B batch, C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.models.latent_colours import LatentPreview
from moc_engine.models.video_autoencoder import VideoAutoencoder


class LatentFamily:
    """The methods of `Family` that are an autoencoder's; frames are resampled to the size and rate asked for.

    A clip is decoded piece by piece; previews are not decoded. `patch` are the latents of a token over time,
    height and width.
    """

    def __init__(self, autoencoder: VideoAutoencoder, patch: tuple[int, int, int]) -> None:
        self._autoencoder, self._patch = autoencoder, patch
        self._preview = LatentPreview(autoencoder)

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        return self._autoencoder.latent_shape(seconds, size, self._patch)

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return latents_BCFHW

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return predicted_BCFHW

    def frames_needed(self, shape: Sequence[int]) -> tuple[int, float]:
        return self._autoencoder.frames_of(shape[1]), self._autoencoder.rate

    def encoded(self, frames: Sequence[Frame], shape: Sequence[int]) -> Tensor:
        codec = self._autoencoder
        return codec.encoded(codec.prepared(frames, codec.pixels(shape)))[0]

    def ended_by(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        return self._autoencoder.ended_by(check)

    def moments(self, latent_frames: int) -> Sequence[float]:
        return self._autoencoder.moments(latent_frames)

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        return self._autoencoder.frames(latents_CFHW, seconds=seconds, fps=fps, size=size)

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        return self._preview.picture(latents_CFHW)
