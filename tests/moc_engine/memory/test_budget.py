"""The shares of a renderer's memory budget."""

from __future__ import annotations

import pytest
import torch

from moc_engine.memory import history_buffer
from moc_engine.memory.budget import MemoryShares, memory_shares
from moc_engine.ops import workspace

CPU = torch.device("cpu")


@pytest.mark.parametrize("budget", [0, 1, 1001, 1 << 28, 1 << 31, 1 << 36])
def test_the_shares_are_the_budget(budget: int) -> None:
    shares = memory_shares(budget, CPU)
    assert shares.memories + shares.history + shares.workspace == budget
    assert min(shares.memories, shares.history, shares.workspace) >= 0


def test_buffers_have_a_quarter_and_no_more_than_they_use() -> None:
    small = 1 << 20
    assert memory_shares(4 * small, CPU) == MemoryShares(
        memories=3 * small, history=3 * small // 4, workspace=small // 4
    )
    shares = memory_shares(1 << 36, CPU)
    assert (shares.history, shares.workspace) == (history_buffer.LIMIT, workspace.LIMIT)


def test_only_a_cpu_keeps_buffers() -> None:
    assert memory_shares(1000, torch.device("cuda")) == MemoryShares(memories=1000, history=0, workspace=0)
