"""Constant channels by which networks tell the slots of a scene apart and know what time it is in the shot.

Rotary positions say only how far apart two tokens are, and a convolution not even that.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.models.animatic.scene import CHANNELS, SLOTS, Array, frame_times

CLOCK_RATES: Final = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Turns per second of the hands of the clock that is marked on every frame."""

CLOCK: Final = 2 + 2 * len(CLOCK_RATES)
INPUTS: Final = CHANNELS + SLOTS + CLOCK
"""Channels of a network's input: latents, slot marks, and the clock."""


def with_marks(latents_BCFSW: Tensor) -> Tensor:
    """Latents (B, CHANNELS, F, SLOTS, 1) as a network's input (B, INPUTS, F, SLOTS, 1)."""
    batch, _, frames, slots, _ = latents_BCFSW.shape
    marks = torch.eye(slots).to(latents_BCFSW).view(1, slots, 1, slots, 1).expand(batch, -1, frames, -1, -1)
    hands = torch.from_numpy(_clock(frames)).to(latents_BCFSW).view(1, CLOCK, frames, 1, 1)
    return torch.cat((latents_BCFSW, marks, hands.expand(batch, -1, -1, slots, -1)), dim=1)


@lru_cache
def _clock(frames: int) -> Array:
    """(CLOCK, F): how much of the shot is over (-1 to 1), its seconds so far over 4, and turning hands."""
    t = frame_times(frames)
    hands = [turn(2 * np.pi * rate * t) for rate in CLOCK_RATES for turn in (np.sin, np.cos)]
    return np.stack([2 * t / (t[-1] + t[0]) - 1, t / 4, *hands]).astype(np.float32)
