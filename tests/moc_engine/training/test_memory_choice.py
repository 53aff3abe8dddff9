from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from moc_engine.config import RoutingConfig
from moc_engine.training.memories import Memories, chunk_descriptors
from moc_engine.training.memory_choice import choose_memories
from moc_engine.training.story_rules import StoryRules

STORIES, SHOTS, HEADS, SLOTS, TOKENS, WIDTH = 2, 4, 2, 5, 15, 12


class ReadBack(TorchDispatchMode):
    """Counts the numbers that are read from a tensor, for which a device would be waited for."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


def test_nothing_is_read_back_to_choose_memories() -> None:
    draws = torch.Generator().manual_seed(0)
    keys = torch.randn(STORIES, HEADS, SHOTS - 1, TOKENS, WIDTH, generator=draws)
    queries = torch.randn(STORIES, SHOTS - 1, HEADS, TOKENS, WIDTH, generator=draws)
    pinned = torch.zeros(STORIES, SHOTS, SHOTS, dtype=torch.bool)
    pinned[0, 3, :2] = True
    pinned[1, 2, 0] = True
    rules = StoryRules(routing=RoutingConfig(top_k=2), pinned=pinned)
    assert rules.most_pinned == 2
    assert rules.routing is not None
    means = chunk_descriptors(keys, slots=SLOTS, chunking="track")
    memories = Memories(keys=keys, values=keys, descriptors=means)
    with ReadBack() as read:
        chosen = choose_memories(queries, memories, rules.routing, rules, shots=(1, 2, 3))
    assert chosen.shape == (STORIES, SHOTS - 1, HEADS, TOKENS, 2 + 2 * SLOTS)
    assert read.count == 0
