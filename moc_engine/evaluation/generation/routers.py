"""Baseline routers for comparison with MoC, all with the same budget of attended pairs.

A router that selects chunks gives every query token the same number of them; it differs from MoC only in the
scores.

The baselines are: a sliding window over the latest shots; a density that halves with every shot back (Radial
Attention, arXiv 2506.19852); random chunks; and the history averaged into ever fewer tokens the older it is
(FramePack, arXiv 2504.12626).

Shapes: B stories, N earlier shots, L tokens of a shot, H heads, K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def window_scores(earlier: int, chunks: int, *, slots: int, tokens: int, by_slot: bool) -> Tensor:
    """(L, N · K): higher for later shots; within a shot, higher for slots near the query's own slot."""
    back, beside = _distances(earlier, chunks, slots=slots, tokens=tokens, by_slot=by_slot)
    return -(back * (chunks + 1.0) + beside)


def radial_scores(earlier: int, chunks: int, *, slots: int, tokens: int, by_slot: bool) -> Tensor:
    """(L, N · K): fewer slots around the query's own slot the older the shot, half as many per shot."""
    back, beside = _distances(earlier, chunks, slots=slots, tokens=tokens, by_slot=by_slot)
    return -((beside + 1.0) * 2.0 ** (back - 1.0)).log2()


def random_scores(like_BHLC: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Random scores of the shape of `like_BHLC`; each story is drawn by its own generator."""
    drawn = [torch.rand(like_BHLC.shape[1:], generator=generator) for generator in generators]
    return torch.stack(drawn).to(like_BHLC.device)


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


def _distances(earlier: int, chunks: int, *, slots: int, tokens: int, by_slot: bool) -> tuple[Tensor, Tensor]:
    """(L, N · K) each: how many shots back a chunk is, and how many slots away from the query's own.

    For chunks that are frames and hold every slot: how many frames before the last one of its shot.
    """
    back = (earlier - torch.arange(earlier)).repeat_interleave(chunks).expand(tokens, -1).float()
    if not by_slot:
        newest = (chunks - 1 - torch.arange(chunks)).repeat(earlier).expand(tokens, -1).float()
        return back, newest
    own = torch.arange(tokens)[:, None] % slots
    return back, (torch.arange(chunks).repeat(earlier)[None] - own).abs().float()
