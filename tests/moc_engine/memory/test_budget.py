"""The shares of a renderer's memory budget."""

from __future__ import annotations

import pytest

from moc_engine.memory.budget import HISTORY_LIMIT, WORKSPACE_LIMIT, MemoryShares, memory_shares


@pytest.mark.parametrize("budget", [0, 1, 1001, 1 << 28, 1 << 31, 1 << 36])
def test_the_shares_are_the_budget(budget: int) -> None:
    shares = memory_shares(budget, on_cpu=True)
    assert shares.memories + shares.history + shares.workspace == budget
    assert min(shares.memories, shares.history, shares.workspace) >= 0


def test_buffers_have_a_quarter_and_no_more_than_they_use() -> None:
    small = 1 << 20
    assert memory_shares(4 * small, on_cpu=True) == MemoryShares(
        memories=3 * small, history=3 * small // 4, workspace=small // 4
    )
    shares = memory_shares(1 << 36, on_cpu=True)
    assert (shares.history, shares.workspace) == (HISTORY_LIMIT, WORKSPACE_LIMIT)


def test_only_a_cpu_keeps_buffers() -> None:
    assert memory_shares(1000, on_cpu=False) == MemoryShares(memories=1000, history=0, workspace=0)
