"""Encoders that need no model: latents are means of pixels, states are numbers of a caption's words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.models.caption_limit import LeftOut
from moc_engine.training.data.footage.clip_needs import ClipNeeds

MOST_WORDS: Final = 12
WIDTH: Final = 4

NEEDS: Final = ClipNeeds(rate=16, frame_step=4, frames=33, size=(64, 48), side=16, latent_bytes=4 * 3 / 64)
"""What clips must be like for these encoders."""


class FakeEncoders:
    """`encoded` counts the clips, `captions` lists the texts that were encoded."""

    def __init__(self, *, text: str = "words-1", video: str = "means-1") -> None:
        self.encoded = 0
        self.captions: list[str] = []
        self.text_encoder_identity = text
        self.autoencoder_identity = video
        self.latent_space = "means-3c4t8s"
        self.text_dtype = "float32"

    def latents(self, frames: Sequence[Frame]) -> Tensor:
        self.encoded += 1
        groups = [frames[:1], *(frames[at : at + 4] for at in range(1, len(frames), 4))]
        height, width = frames[0].shape[0] // 8, frames[0].shape[1] // 8
        means = [
            np.stack(group).reshape(len(group), height, 8, width, 8, 3).mean((0, 2, 4)) for group in groups
        ]
        return torch.from_numpy(np.stack(means)).float().permute(3, 0, 1, 2) / 127.5 - 1

    def states(self, caption: str) -> Tensor:
        self.captions.append(caption)
        words = [*caption.split(), "end"]
        digests = [hashlib.sha256(word.encode()).digest()[:WIDTH] for word in words]
        return torch.tensor([list(digest) for digest in digests]).float()

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        style, own = len(global_caption.split()), len(caption.split())
        read = min(own, MOST_WORDS)
        return LeftOut(style=max(0, style - (MOST_WORDS - read)), own=own - read)

    @contextmanager
    def ended_by(self, check: Callable[[], None]) -> Iterator[None]:
        check()
        yield

    def release_text_encoder(self) -> None:
        pass
