"""Which chunks of the memories of earlier shots each query of a training step attends to.

Shapes: B stories, N shots, L tokens of a shot (frame by frame), H heads, D head width, K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.selection import mask_of
from moc_engine.training.memories import Memories
from moc_engine.training.story_rules import StoryRules


def choose_memories(
    q_BNHLD: Tensor,
    memories: Memories,
    routing: RoutingConfig,
    rules: StoryRules,
    *,
    shots: Sequence[int],
    generator: torch.Generator | None = None,
) -> Tensor:
    """The chunks (B, N, H, L, K) of `memories` that N `shots` attend to, of earlier ones; -1 for none.

    `q_BNHLD` are the routing queries, rotated or not as the descriptors are. A `generator` turns on drop-off
    and drop-in.
    """
    B, N, _, L, _ = q_BNHLD.shape
    candidates_BNC, pinned_BNC = eligible_chunks(memories, rules, stories=B, shots=shots)
    chosen = route_queries(
        q_BNHLD.transpose(1, 2).flatten(2, 3),
        memories.descriptors.flatten(2, 3),
        ChunkRules(
            candidates=candidates_BNC & ~pinned_BNC,
            of_query=torch.arange(N, device=q_BNHLD.device).repeat_interleave(L),
        ),
        routing,
        generator=generator,
    )
    by_shot = chosen.unflatten(2, (N, L)).transpose(1, 2)
    chunks = memories.descriptors.shape[3]
    return with_pinned(by_shot, pinned_BNC, most=rules.most_pinned * chunks)


def eligible_chunks(
    memories: Memories, rules: StoryRules, *, stories: int, shots: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The chunks of memories (B, N, C) that N `shots` may attend to, and those that they must."""
    earlier, chunks = memories.descriptors.shape[2:4]
    device = memories.descriptors.device
    numbers = torch.tensor(shots).to(device)
    before = torch.arange(earlier, device=device) < numbers[:, None]
    candidates, pinned = before.expand(stories, -1, -1), torch.zeros_like(before).expand(stories, -1, -1)
    if rules.candidates is not None:
        candidates = before & rules.candidates.index_select(1, numbers)[:, :, :earlier]
    if rules.pinned is not None:
        pinned = before & rules.pinned.index_select(1, numbers)[:, :, :earlier]
    return candidates.repeat_interleave(chunks, dim=-1), pinned.repeat_interleave(chunks, dim=-1)


def with_pinned(chosen: Tensor, pinned: Tensor, *, most: int | None = None) -> Tensor:
    """The chosen chunks (…, H, L, K) followed by the pinned ones (…, C) of each entry, -1 for none.

    `most` is how many an entry pins at most; None: they are counted, for which the device is waited for.
    """
    if most is None:
        most = int(pinned.sum(dim=-1).max())
    first = pinned.int().argsort(dim=-1, descending=True, stable=True)[..., :most]
    pins = first.masked_fill(~pinned.gather(-1, first), -1)[..., None, None, :]
    return torch.cat((chosen, pins.expand(*chosen.shape[:-1], most)), dim=-1)


def tokens_of_chunks(chosen_BHLK: Tensor, memories: Memories, *, slots: int, chunking: str) -> Tensor:
    """Bool (B, H, L, N · L): which memory tokens belong to the chosen chunks."""
    earlier, chunks = memories.descriptors.shape[2:4]
    frames = memories.keys.shape[3] // slots
    by_chunk = mask_of(chosen_BHLK, earlier * chunks).unflatten(-1, (earlier, chunks))
    spread = by_chunk[..., None, :] if chunking == "track" else by_chunk[..., None]
    mask: Tensor = spread.expand(*by_chunk.shape[:-1], frames, slots).flatten(-3)
    return mask
