"""How a renderer's memory budget is shared: memories of takes, and buffers to compute in on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from moc_engine.memory import history_buffer
from moc_engine.ops import workspace


@dataclass(frozen=True, kw_only=True)
class MemoryShares:
    """Bytes at most of memories of takes, of the buffer for a history side by side, and of the workspace."""

    memories: int
    history: int
    workspace: int


def memory_shares(budget: int, device: torch.device) -> MemoryShares:
    """The shares of a budget of bytes, which they do not exceed together.

    On a CPU the buffers have a quarter of it, and at most what they use; elsewhere nothing is kept in them.
    """
    if device.type != "cpu":
        return MemoryShares(memories=budget, history=0, workspace=0)
    buffers = min(history_buffer.LIMIT + workspace.LIMIT, budget // 4)
    computing = buffers * workspace.LIMIT // (history_buffer.LIMIT + workspace.LIMIT)
    return MemoryShares(memories=budget - buffers, history=buffers - computing, workspace=computing)
