"""How a renderer's memory is shared between memories of takes and buffers to compute in. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HISTORY_LIMIT: Final = 3 << 27
"""Bytes of a history up to which a CPU copies it side by side, and keeps it for the next render."""

WORKSPACE_LIMIT: Final = 1 << 27
"""Bytes at most that are kept on a CPU to compute in."""


@dataclass(frozen=True, kw_only=True)
class MemoryShares:
    """Bytes at most of memories of takes, of the buffer for a history side by side, and of the workspace."""

    memories: int
    history: int
    workspace: int


def memory_shares(budget: int, *, on_cpu: bool) -> MemoryShares:
    """The shares of a budget of bytes, which they do not exceed together.

    On a CPU the buffers have a quarter of it, and at most what they use; elsewhere nothing is kept in them.
    """
    if not on_cpu:
        return MemoryShares(memories=budget, history=0, workspace=0)
    buffers = min(HISTORY_LIMIT + WORKSPACE_LIMIT, budget // 4)
    computing = buffers * WORKSPACE_LIMIT // (HISTORY_LIMIT + WORKSPACE_LIMIT)
    return MemoryShares(memories=budget - buffers, history=buffers - computing, workspace=computing)


def most_copied(*, on_cpu: bool, rows: int, page_bytes: int) -> int:
    """Bytes of a history up to which it is copied side by side for a batch of so many rows.

    A larger one is brought in through buffers of `page_bytes`.
    """
    return HISTORY_LIMIT if on_cpu else page_bytes // rows
