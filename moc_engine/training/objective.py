"""Flow matching over stories: every shot at a noise level of its own, every channel with its weight.

x = (1 - σ) x0 + σ ε, the model predicts x0, and the loss is that of the velocity ε - x0
(asynchronous levels: LCT, arXiv 2503.10589).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.models.animatic.scene import (
    CAMERA_SLOT,
    CHANNELS,
    CHARACTER_SLOTS,
    PROP_SLOTS,
    SLOT_FIELDS,
    SLOTS,
)

LEVEL_CENTRE: Final = -0.3
LEVEL_SPREAD: Final = 1.2
UNIFORM_SHARE: Final = 0.4
"""Noise levels: this share drawn evenly from 0–1, the others logit-normal; most channels are small
beside unit noise, which is why the centre lies below one half."""

SHARP_LEVEL: Final = 0.2
"""Noise level from which downwards errors of the velocity are no longer held against the model more."""

CAMERA_WEIGHTS: Final = {"x": 24.0, "y": 32.0, "zoom": 40.0, "roll": 8.0}
FIELD_WEIGHTS: Final = {
    "presence": 2.0,
    "kind": 3.0,
    "cast": 2.0,
    "shape": 2.0,
    "accessory": 3.0,
    "body": 6.0,
    "accent": 6.0,
    "growth": 4.0,
    "colour": 4.0,
    "x": 3.0,
    "lift": 4.0,
    "yaw": 2.0,
    "roll": 2.0,
    "squash": 3.0,
    "phase": 2.0,
    "near_hand": 4.0,
    "far_hand": 4.0,
}
"""Those of all other slots. What moves within a shot is small beside what tells shots apart, much of which
cannot be known at all: without such weights nothing would learn to move."""

UNUSED_WEIGHT: Final = 0.05
JITTER_WEIGHT: Final = 3.0
"""How much the change of an error from one frame to the next counts beside the error itself: the eye
forgives a hand that is a little off more readily than one that trembles."""

ABSENT_WEIGHT: Final = 0.2
"""Weight of the channels, all 0, of a character or prop that is not there."""


@dataclass(frozen=True, kw_only=True)
class NoiseDraw:
    """The noise of one step: `level` (B, N), `clean_level` (B, N - 1), and noise for both copies."""

    level: Tensor
    noise: Tensor
    clean_level: Tensor
    clean_noise: Tensor

    def noisy(self, latents: Tensor) -> Tensor:
        return torch.lerp(latents, self.noise, self.level[..., None, None, None])

    def clean(self, latents: Tensor) -> Tensor:
        return torch.lerp(latents[:, :-1], self.clean_noise, self.clean_level[..., None, None, None])


def draw_noise(latents: Tensor, generator: torch.Generator, *, memory_noise: float) -> NoiseDraw:
    """Noise for latents (B, N, F, S, C); a fifth of the stories read memories at up to `memory_noise`."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device).to(latents.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device).to(latents.device)

    stories, shots = latents.shape[:2]
    peaked = torch.sigmoid(LEVEL_CENTRE + LEVEL_SPREAD * normal(stories, shots))
    even = uniform(stories, shots)
    clean = uniform(stories, 1) * memory_noise * (uniform(stories, 1) < 0.2)
    return NoiseDraw(
        level=torch.where(uniform(stories, shots) < UNIFORM_SHARE, even, peaked),
        noise=normal(*latents.shape),
        clean_level=clean.expand(stories, shots - 1),
        clean_noise=normal(stories, shots - 1, *latents.shape[2:]),
    )


def channel_weights() -> Tensor:
    """(S, C); `UNUSED_WEIGHT` where a slot does not use a channel, which is then to come out as 0."""
    weights = np.full((SLOTS, CHANNELS), UNUSED_WEIGHT, dtype=np.float32)
    for slot, fields in enumerate(SLOT_FIELDS):
        own = CAMERA_WEIGHTS if slot == CAMERA_SLOT else FIELD_WEIGHTS
        values = [own.get(f.name, 1.0) for f in fields for _ in range(f.width)]
        weights[slot, : len(values)] = values
    return torch.from_numpy(weights)


def flow_loss(predicted: Tensor, latents: Tensor, level_BN: Tensor, weights_SC: Tensor) -> Tensor:
    """The weighted mean squared error of the velocity that a clean prediction implies, in float32.

    An error of x0 is one of the velocity times σ; below `SHARP_LEVEL` it counts no more than there. To it
    comes how much the error changes from frame to frame.
    """
    presence = latents[..., :1]
    present = torch.ones_like(presence)
    for slot in (*CHARACTER_SLOTS, *PROP_SLOTS):
        present[..., slot, :] = torch.where(presence[..., slot, :] > 0, 1.0, ABSENT_WEIGHT)
    present = present.expand_as(latents).clone()
    present[..., 0] = 1.0
    weights = weights_SC * present
    error = (predicted.float() - latents) / level_BN.clamp(min=SHARP_LEVEL)[..., None, None, None]
    jitter = error.diff(dim=2)
    squares = (error**2 * weights).sum() + JITTER_WEIGHT * (jitter**2 * weights[:, :, 1:]).sum()
    return squares / weights.sum()
