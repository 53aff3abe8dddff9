"""Flow-matching loss over stories: each shot has its own noise level, each channel a weight.

x = (1 - σ) x0 + σ ε; the model predicts x0, and the loss is on the velocity ε - x0 (independent noise levels
per shot: LCT, arXiv 2503.10589).
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
"""This share of the noise levels is uniform in 0–1, the others are logit-normal. Most channels are small
compared to unit noise, so the centre is below one half."""

SHARP_LEVEL: Final = 0.2
"""Below this noise level the weight of velocity errors no longer grows."""

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
"""Weights for all slots but the camera. Motion within a shot is small compared to the differences between
shots, many of which cannot be predicted at all: without these weights the model would not learn to move."""

UNUSED_WEIGHT: Final = 0.05
JITTER_WEIGHT: Final = 3.0
"""Weight of the frame-to-frame change of the error relative to the error itself: trembling is more visible
than a small constant error."""

ABSENT_WEIGHT: Final = 0.2
"""Weight of the channels of an absent character or prop, which are all 0."""


@dataclass(frozen=True, kw_only=True)
class NoiseDraw:
    """The noise of one step: levels (B, N) and (B, N - 1), and noise for the noisy and the clean copies."""

    level: Tensor
    noise: Tensor
    clean_level: Tensor
    clean_noise: Tensor

    def noisy(self, latents: Tensor) -> Tensor:
        return torch.lerp(latents, self.noise, self.level[..., None, None, None])

    def clean(self, latents: Tensor) -> Tensor:
        return torch.lerp(latents[:, :-1], self.clean_noise, self.clean_level[..., None, None, None])


def draw_noise(latents: Tensor, generator: torch.Generator, *, memory_noise: float) -> NoiseDraw:
    """Noise for latents (B, N, F, S, C); a fifth of the stories have memories at up to `memory_noise`."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device).to(latents.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device).to(latents.device)

    stories, shots = latents.shape[:2]
    logit_normal = torch.sigmoid(LEVEL_CENTRE + LEVEL_SPREAD * normal(stories, shots))
    flat = uniform(stories, shots)
    clean = uniform(stories, 1) * memory_noise * (uniform(stories, 1) < 0.2)
    return NoiseDraw(
        level=torch.where(uniform(stories, shots) < UNIFORM_SHARE, flat, logit_normal),
        noise=normal(*latents.shape),
        clean_level=clean.expand(stories, shots - 1),
        clean_noise=normal(stories, shots - 1, *latents.shape[2:]),
    )


def channel_weights() -> Tensor:
    """Weights (S, C); channels that a slot does not use should be 0 and have `UNUSED_WEIGHT`."""
    weights = np.full((SLOTS, CHANNELS), UNUSED_WEIGHT, dtype=np.float32)
    for slot, fields in enumerate(SLOT_FIELDS):
        own = CAMERA_WEIGHTS if slot == CAMERA_SLOT else FIELD_WEIGHTS
        values = [own.get(f.name, 1.0) for f in fields for _ in range(f.width)]
        weights[slot, : len(values)] = values
    return torch.from_numpy(weights)


def flow_loss(predicted: Tensor, latents: Tensor, level_BN: Tensor, weights_SC: Tensor) -> Tensor:
    """The weighted mean squared error of the velocity implied by the prediction of x0, in float32.

    The error of the velocity is that of x0 divided by σ, with σ at least `SHARP_LEVEL`. The frame-to-frame
    change of the error is added.
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
