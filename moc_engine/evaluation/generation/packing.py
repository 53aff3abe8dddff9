"""The history averaged into fewer tokens the older it is, within a budget (FramePack, arXiv 2504.12626)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def packing(budget: int, *, earlier: int, tokens: int, slots: int) -> Tensor:
    """Weights (P, N · L) that average a history to `budget` tokens P, or fewer if the history is shorter.

    Half of the budget is for the last shot, half of the rest for the one before, and so on; the shots too old
    for a token of their own share the last one. A shot's tokens are averaged within each slot while there is
    a token for each slot, otherwise over several slots.
    """
    sizes = _shares(budget, earlier, tokens)
    places = torch.arange(earlier * tokens).view(earlier, -1, slots)
    groups = [part for i, size in enumerate(sizes) for part in _groups(places[earlier - 1 - i], size)]
    far = places[: earlier - len(sizes)].flatten()
    if budget > sum(sizes) and len(far):
        groups.append(far)
    weights = torch.zeros(len(groups), earlier * tokens)
    for row, group in zip(weights, groups, strict=True):
        row[group] = 1.0 / len(group)
    return weights


def _shares(budget: int, earlier: int, tokens: int) -> list[int]:
    """Tokens for each shot, from the last one back, never more for an older one; one is left for the rest.

    Tokens that halving leaves over go to the newest shots.
    """
    if budget >= earlier * tokens:
        return [tokens] * earlier
    sizes: list[int] = []
    left = budget - 1
    while len(sizes) < earlier and left > 0:
        sizes.append(min(tokens, max(1, left // 2)))
        left -= sizes[-1]
    if len(sizes) == earlier:
        left += 1  # there is no rest
    for i, size in enumerate(sizes):
        more = min(tokens - size, left)
        sizes[i] += more
        left -= more
    return sizes


def _groups(places: Tensor, size: int) -> Iterator[Tensor]:
    """The token numbers (frames, slots) of a shot, split into `size` groups."""
    slots = places.shape[1]
    if size < slots:
        yield from (part.flatten() for part in places.tensor_split(size, dim=1))
        return
    for slot in range(slots):
        yield from places[:, slot].tensor_split(size // slots + (slot < size % slots))
