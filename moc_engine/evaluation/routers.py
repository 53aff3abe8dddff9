"""Ways to choose what a shot looks at, all at the same budget of attended pairs, to hold MoC against.

A router that picks chunks gives every query token the same number of them; it differs from MoC in the
scores alone.

The baselines follow what is published: a window of the latest context; density that halves with every shot
back (Radial Attention, arXiv 2506.19852); random chunks; and history packed into ever fewer tokens the
further it lies back (FramePack, arXiv 2504.12626).

Shapes: B stories, N earlier shots, L tokens of a shot, H heads, D head width, K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from moc_engine.training.attention import Memories

Router = Literal["moc", "dense", "own", "window", "radial", "random", "packed"]
ROUTERS: Final[tuple[Router, ...]] = ("moc", "dense", "own", "window", "radial", "random", "packed")


def window_scores(earlier: int, chunks: int, *, slots: int, tokens: int, by_slot: bool) -> Tensor:
    """(L, N · K): the latest shots first; within a shot those slots first that lie beside the query's own."""
    back, beside = _places(earlier, chunks, slots=slots, tokens=tokens, by_slot=by_slot)
    return -(back * (chunks + 1.0) + beside)


def radial_scores(earlier: int, chunks: int, *, slots: int, tokens: int, by_slot: bool) -> Tensor:
    """(L, N · K): ever fewer slots around the query's own, half as many with every shot back."""
    back, beside = _places(earlier, chunks, slots=slots, tokens=tokens, by_slot=by_slot)
    return -((beside + 1.0) * 2.0 ** (back - 1.0)).log2()


def random_scores(like: Tensor, generator: torch.Generator) -> Tensor:
    """Scores that mean nothing, in the shape of others."""
    return torch.rand(like.shape, generator=generator).to(like.device)


def packed(memories: Memories, budget: int) -> Memories:
    """The whole history as `budget` tokens at most: half of them for the last shot, half of the rest for the
    one before, and so on; what lies too far back for a token of its own shares the last one.

    Neighbouring tokens of a slot are averaged, then neighbouring slots.
    """
    earlier, tokens = memories.keys.shape[2:4]
    slots = memories.descriptors.shape[3]
    sizes = _shares(budget, earlier, tokens)
    parts = []
    for whole in (memories.keys, memories.values):
        by_slot = (
            whole.unflatten(3, (-1, slots)).transpose(3, 4).flatten(3, 4)
        )  # (B, H, N, L, D), slot by slot
        nearest = [_pooled(by_slot[:, :, earlier - 1 - i], size) for i, size in enumerate(sizes)]
        far = by_slot[:, :, : earlier - len(sizes)].flatten(2, 3)
        parts.append(torch.cat((*nearest, *([_pooled(far, 1)] if far.shape[2] else [])), dim=2))
    keys, values = parts
    return Memories(keys=keys[:, :, None], values=values[:, :, None], descriptors=memories.descriptors)


def _shares(budget: int, earlier: int, tokens: int) -> Sequence[int]:
    """Tokens for each shot from the last one back: half of what is left, until one is kept for the rest."""
    sizes: list[int] = []
    left = budget
    while len(sizes) < earlier and left > 1:
        last = len(sizes) == earlier - 1
        sizes.append(min(tokens, left if last else left // 2))
        left -= sizes[-1]
    return sizes


def _pooled(whole_BHLD: Tensor, size: int) -> Tensor:
    batch = whole_BHLD.shape[0]
    rows = whole_BHLD.flatten(0, 1).transpose(1, 2).float()
    pooled: Tensor = adaptive_avg_pool1d(rows, size).transpose(1, 2).unflatten(0, (batch, -1))
    return pooled.to(whole_BHLD.dtype)


def _places(earlier: int, chunks: int, *, slots: int, tokens: int, by_slot: bool) -> tuple[Tensor, Tensor]:
    """(L, N · K) each: how many shots a chunk lies back, and how many slots beside the query's own.

    Chunks that are frames hold every slot: none lies beside.
    """
    back = (earlier - torch.arange(earlier)).repeat_interleave(chunks).expand(tokens, -1).float()
    if not by_slot:
        newest = (chunks - 1 - torch.arange(chunks)).repeat(earlier).expand(tokens, -1).float()
        return back, newest
    own = torch.arange(tokens)[:, None] % slots
    return back, (torch.arange(chunks).repeat(earlier)[None] - own).abs().float()
