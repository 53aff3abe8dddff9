"""Chunk offsets on a device, copied once, so that no step waits for a copy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.layout import Ints


def device_offsets(offsets: Ints, device: torch.device) -> Tensor:
    """`offsets` [C + 1] in int32 on the device."""
    return _copied(offsets.astype(np.int32).tobytes(), device)


@lru_cache(maxsize=256)
def _copied(offsets: bytes, device: torch.device) -> Tensor:
    return torch.tensor(np.frombuffer(offsets, dtype=np.int32), device=device)
