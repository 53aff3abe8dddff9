"""Constant input channels that identify the slot of a scene and the time in the shot.

Networks need them because rotary positions encode only the distance of two tokens, and convolutions
no position.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.models.animatic.scene import CHANNELS, SLOTS, Array, frame_times

CLOCK_RATES: Final = (0.125, 0.25, 0.5, 1.0, 2.0)
"""The frequencies, in Hz, of the sine and cosine channels for the time in the shot."""

CLOCK: Final = 2 + 2 * len(CLOCK_RATES)
INPUTS: Final = CHANNELS + SLOTS + CLOCK
"""The channels of a network's input: latents, slot marks and the time in the shot."""


def with_marks(latents_BCFSW: Tensor) -> Tensor:
    """Latents (B, CHANNELS, F, SLOTS, 1) with slot and time channels appended: (B, INPUTS, F, SLOTS, 1)."""
    batch, _, frames, _, _ = latents_BCFSW.shape
    marks = _marks(frames, latents_BCFSW.dtype, latents_BCFSW.device)
    return torch.cat((latents_BCFSW, marks.expand(batch, -1, -1, -1, -1)), dim=1)


@lru_cache(maxsize=64)
def _marks(frames: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The slot and time channels (1, SLOTS + CLOCK, F, SLOTS, 1), which are made once."""
    slots = torch.eye(SLOTS).view(1, SLOTS, 1, SLOTS, 1).expand(-1, -1, frames, -1, -1)
    hands = (
        torch.from_numpy(_time_channels(frames)).view(1, CLOCK, frames, 1, 1).expand(-1, -1, -1, SLOTS, -1)
    )
    return torch.cat((slots, hands), dim=1).to(device, dtype)


def _time_channels(frames: int) -> Array:
    """The time channels (CLOCK, F): position in the shot (-1 to 1), seconds / 4, sines and cosines."""
    t = frame_times(frames)
    hands = [turn(2 * np.pi * rate * t) for rate in CLOCK_RATES for turn in (np.sin, np.cos)]
    return np.stack([2 * t / (t[-1] + t[0]) - 1, t / 4, *hands]).astype(np.float32)
