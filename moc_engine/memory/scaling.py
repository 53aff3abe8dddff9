"""Keys and values in 8 bits: scaled channel by channel within groups of tokens.

Some channels of keys are far larger than others, in all tokens alike, so a factor a channel loses least: in
the embedded model's memories attention differs by 0.23%, with a factor a token and head by 0.34%; where four
of 128 channels are ten times as large, by 2.0% and 6.6%. The latents of a third shot differ by 0.01%.
`moc_engine/evaluation/RESULTS.md` holds the table.

Shapes: T tokens, G groups, D channels; any dimensions before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.memory.estimate import GROUP_TOKENS
from moc_engine.ops.layout import Ints

GREATEST: Final = 127


def scale_groups(chunk_offsets: Ints) -> Ints:
    """The offsets [G + 1] of groups: whole chunks, joined until they have `GROUP_TOKENS` tokens."""
    cuts = [0]
    for offset in chunk_offsets[1:].tolist():
        if offset - cuts[-1] >= GROUP_TOKENS:
            cuts.append(offset)
    last = int(chunk_offsets[-1])
    if cuts[-1] != last:
        cuts = [*cuts[:-1], last] if len(cuts) > 1 else [0, last]
    return np.array(cuts, dtype=np.int64)


def quantise(x_TD: Tensor, offsets: Ints) -> tuple[Tensor, Tensor]:
    """x (…, T, D) as int8, and the factors (…, G, D) in float32 that give it back."""
    out = torch.empty(x_TD.shape, dtype=torch.int8, device=x_TD.device)
    scales = torch.empty(*x_TD.shape[:-2], len(offsets) - 1, x_TD.shape[-1], device=x_TD.device)
    for groups, tokens in _runs(offsets, 0, int(offsets[-1])):
        parts = x_TD[..., tokens, :].float().unflatten(-2, (groups.stop - groups.start, -1))
        factors = parts.abs().amax(dim=-2) / GREATEST
        scales[..., groups, :] = factors
        whole = (parts / factors.where(factors > 0, 1.0)[..., None, :]).round_()
        out[..., tokens, :] = whole.flatten(-3, -2).to(torch.int8)
    return out, scales


def dequantise_into(out_TD: Tensor, x_TD: Tensor, scales_GD: Tensor, offsets: Ints, start: int = 0) -> None:
    """Writes int8 tokens (…, T, D) times their factors into `out_TD`; the first is token `start` of all."""
    for groups, tokens in _runs(offsets, start, start + x_TD.shape[-2]):
        at = slice(tokens.start - start, tokens.stop - start)
        shape = (groups.stop - groups.start, -1)
        out = out_TD[..., at, :].unflatten(-2, shape)
        torch.mul(x_TD[..., at, :].unflatten(-2, shape), scales_GD[..., groups, None, :], out=out)


def _runs(offsets: Ints, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
    """Runs of groups that have equally many tokens within start:stop, as groups and tokens."""
    first = int(np.searchsorted(offsets, start, side="right")) - 1
    while first < len(offsets) - 1 and offsets[first] < stop:
        begin = max(start, int(offsets[first]))
        length = min(stop, int(offsets[first + 1])) - begin
        last = first + 1
        while last < len(offsets) - 1 and min(stop, int(offsets[last + 1])) - int(offsets[last]) == length:
            last += 1
        yield slice(first, last), slice(begin, begin + (last - first) * length)
        first = last
