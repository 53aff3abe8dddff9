"""What autoencoders of video have in common: the sizes that they compress, and clips as frames.

The first latent frame stands for one frame, each further one for as many as are compressed into it.

Shapes: C channels, F latent frames, H and W latent sides, N frames, Y and X sides of frames in pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.models.pixels import as_frame, cropped, resized


class VideoAutoencoder(ABC):
    """An autoencoder of diffusers for `channels`, compressing `over_time` frames and `over_space` pixels.

    `rate` are the frames a second of the clips that it stands for.
    """

    def __init__(self, vae: Any, *, channels: int, over_time: int, over_space: int, rate: float) -> None:
        self.vae = vae.eval()
        self.channels = channels
        self.over_time = over_time
        self.over_space = over_space
        self.rate = rate
        self._processor = VideoProcessor(vae_scale_factor=over_space)

    @property
    @abstractmethod
    def latent_space(self) -> str:
        """Names the latents: by their channels and scale, and a digest of what decodes them."""

    @abstractmethod
    def encoded(self, video_13NYX: Tensor) -> Tensor:
        """The latents (1, C, F, H, W), in float32 on the autoencoder's device, on the transformer's scale."""

    @abstractmethod
    def pieces(self, latents_CFHW: Tensor) -> Generator[Tensor]:
        """The frames of latents in order, in pieces (3, n, Y, X) within -1 and 1.

        The autoencoder must not decode anything else meanwhile.
        """

    @contextmanager
    def ended_by(self, check: Callable[[], None]) -> Iterator[None]:
        """Within the context `check` is called before each block of the encoder; what it raises ends that."""
        blocks = self.vae.encoder.down_blocks
        hooks = [block.register_forward_pre_hook(lambda *_: check()) for block in blocks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def frames_of(self, latent_frames: int) -> int:
        """How many frames so many latent ones stand for."""
        return 1 + (latent_frames - 1) * self.over_time

    def pixels(self, shape: Sequence[int]) -> tuple[int, int]:
        """The size (width, height) of the frames of latents (C, F, H, W)."""
        return shape[3] * self.over_space, shape[2] * self.over_space

    def latent_shape(
        self, seconds: float, size: tuple[int, int], patch: tuple[int, int, int]
    ) -> tuple[int, int, int, int]:
        """(C, F, H, W) of a shot of this length and size (width, height), in whole patches."""
        frames = 1 + round(max(0.0, seconds * self.rate - 1) / self.over_time)
        width, height = (
            max(1, round(side / self.over_space / over)) * over
            for side, over in zip(size, (patch[2], patch[1]), strict=True)
        )
        return self.channels, -(-frames // patch[0]) * patch[0], height, width

    def moments(self, latent_frames: int) -> Sequence[float]:
        """The time in seconds that each latent frame stands for, in the middle of its frames."""
        joined = self.over_time
        return [max(0.0, joined * nth - (joined - 1) / 2) / self.rate for nth in range(latent_frames)]

    def prepared(self, frames: Sequence[Frame], size: tuple[int, int]) -> Tensor:
        """Frames as (1, 3, N, Y, X) within -1 and 1: the middle of each, in the shape of `size`, resized."""
        pictures = [cropped(Image.fromarray(frame), size) for frame in frames]
        prepared: Tensor = self._processor.preprocess_video(pictures, height=size[1], width=size[0])
        return prepared

    def decoded(self, latents_CFHW: Tensor) -> Tensor:
        """The frames (3, N, Y, X) of latents within -1 and 1."""
        return torch.cat(list(self.pieces(latents_CFHW)), dim=1)

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        """The frames of a shot at another rate and size, each decoded when it is asked for."""
        pieces = self.pieces(latents_CFHW)
        first, piece_3NYX = 0, next(pieces)
        last = self.frames_of(latents_CFHW.shape[1]) - 1
        for nth in range(max(1, round(seconds * fps))):
            wanted = min(last, int((nth + 0.5) / fps * self.rate))
            while wanted >= first + piece_3NYX.shape[1]:
                first += piece_3NYX.shape[1]
                piece_3NYX = next(pieces)
            frame = as_frame(piece_3NYX[:, wanted - first])
            yield frame if frame.shape[1::-1] == size else resized(frame, size)
